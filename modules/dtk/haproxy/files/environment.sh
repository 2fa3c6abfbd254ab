# Where the program is, for the script beside it, which says where that is in $here.
bin={{ bin | quote }}
if [ -z "$bin" ]; then
    bin=$here/packages/usr/sbin
    LD_LIBRARY_PATH=$(echo "$here"/packages/usr/lib/*-linux-gnu*)
    export LD_LIBRARY_PATH
fi
