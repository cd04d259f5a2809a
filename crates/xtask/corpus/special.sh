# What real images hold seldom, but hold. The layers are written member by member, see special.py.
. "$RECIPES/common.sh"

new_image
PYTHONDONTWRITEBYTECODE=1 python3 "$RECIPES/special.py" "$WORK"
for layer in "$WORK"/layer*.tar; do
    add_layer "$layer" "special.py"
done
