# The Node image with its layers compressed anew, in zstd.
. "$RECIPES/common.sh"

skopeo copy --quiet --dest-compress-format zstd "oci:$CORPUS/node:latest" "oci:$OUT:latest"
