# Sixty small layers: each adds a file of its own and rewrites a common one; every tenth removes a
# neighbour's file and makes the common directory anew.
. "$RECIPES/common.sh"

new_image
for number in $(seq 60); do
    layer=$WORK/layer$number
    mkdir -p "$layer/etc" "$layer/own"
    echo "$number" >"$layer/etc/last"
    seq "$number" "$((number * 100))" >"$layer/own/file$number"
    if [ $((number % 10)) = 0 ]; then
        mkdir "$layer/anew"
        echo "$number" >"$layer/anew/from$number"
        : >"$layer/anew/.wh..wh..opq"
        : >"$layer/own/.wh.file$((number - 5))"
    fi
    tar --create --file "$WORK/layer.tar" --directory "$layer" --sort=name --owner=0 --group=0 --format=pax .
    add_layer "$WORK/layer.tar" "layer $number"
done
