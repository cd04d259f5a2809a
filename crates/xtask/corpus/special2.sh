# What umoci does not take, and GNU tar does. See special2.py.
. "$RECIPES/common.sh"

new_image
PYTHONDONTWRITEBYTECODE=1 python3 "$RECIPES/special2.py" "$WORK"
for layer in "$WORK"/layer*.tar; do
    add_layer "$layer" "special2.py"
done
