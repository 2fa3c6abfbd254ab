#!/bin/sh
# Mounts a volume at a folder, now and at each boot. Needs root.
#
#   volume.sh mount DEVICE FOLDER FILESYSTEM [OWNER]     make a file system where there is none, and mount it
#   volume.sh mounted DEVICE FOLDER FILESYSTEM [OWNER]   whether that is done
#   volume.sh smoke_test DEVICE FOLDER                   show how full it is, and write to it
#   volume.sh unmount FOLDER                             unmount it, also for the next boot
#   volume.sh boot DEVICE FOLDER                         mount it as soon as the device is there
#
# FOLDER is absolute, or below the working directory. Without OWNER, an absolute folder keeps the owner that it has on the
# volume, and another one belongs to the user who called sudo.
set -eu

within=60 # seconds for the device to appear

fail() {
    echo "$*" >&2
    exit 1
}

# The folders that lead to a relative one belong to its owner. Nobody but root may write to the folder itself while the
# volume is not there.
make_folder() {
    case $given in
        /*) mkdir -p "$folder" ;;
        *) runuser -u "$owner" -- mkdir -p "$folder" ;;
    esac
    chown root: "$folder"
    chmod 755 "$folder"
}

wait_for_device() {
    waited=0
    until [ -b "$device" ]; do
        [ "$waited" -lt "$within" ] || fail "there is no device $device: the node needs a volume there (volumes:)"
        sleep 1
        waited=$((waited + 1))
    done
}

# blkid ends with 2 both if it finds nothing and if it cannot read.
make_filesystem() {
    head -c 4096 "$device" >/dev/null || fail "$device can't be read"
    code=0
    found=$(blkid -p -o value -s TYPE "$device") || code=$?
    case $code in
        0) [ -n "$found" ] || fail "$device has partitions or other content, and no file system: nothing was changed" ;;
        2) "mkfs.$filesystem" -q "$device" && echo "made $filesystem on $device" ;;
        *) fail "it is unclear what $device has: nothing was changed" ;;
    esac
}

is_mounted() {
    [ "$(findmnt -n -o SOURCE -M "$folder")" = "$(realpath "$device")" ] || [ "$(findmnt -n -o SOURCE -M "$folder")" = "$device" ]
}

unit_text() {
    cat <<TEXT
# Written by dtk.
[Unit]
Description=The volume at $folder
DefaultDependencies=no
After=systemd-remount-fs.service systemd-udevd.service
Before=local-fs.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/lib/dtk/volume.sh boot "$device" "$folder"
ExecStop=/bin/umount "$folder"
[Install]
WantedBy=local-fs.target
TEXT
}

mount_it() {
    wait_for_device
    make_filesystem
    if ! is_mounted; then
        [ -z "$(ls -A "$folder" 2>/dev/null)" ] || fail "$folder has files, which the volume would hide: move them away first"
        make_folder
        unit_text >"$unit"
        systemctl daemon-reload
        systemctl restart "${unit##*/}" || { journalctl -n 5 --no-pager -u "${unit##*/}" >&2 && exit 1; }
    fi
    unit_text >"$unit"
    systemctl daemon-reload
    systemctl -q enable "${unit##*/}"
    [ -z "$owner" ] || chown "$owner:" "$folder"
    echo "$device is at $folder"
}

verb=$1
shift
if [ "$verb" = unmount ]; then set -- '' "$@"; fi
device=$1
given=$2
filesystem=${3-ext4}
owner=${4-}
case $given in
    /*) ;;
    *) owner=${owner:-${SUDO_USER:-root}} ;;
esac
folder=$(realpath -m "$given")
unit=/etc/systemd/system/dtk-volume-$(systemd-escape --path "$folder").service

case $verb in
    mount) mount_it ;;
    mounted)
        is_mounted
        [ "$(unit_text)" = "$(cat "$unit" 2>/dev/null)" ]
        systemctl -q is-enabled "${unit##*/}"
        [ -z "$owner" ] || [ "$(stat -c %U "$folder")" = "$owner" ]
        ;;
    smoke_test)
        is_mounted || fail "$device is not mounted at $folder"
        touch "$folder/.dtk-smoke-test"
        rm "$folder/.dtk-smoke-test"
        df -h "$folder"
        ;;
    unmount)
        [ -e "$unit" ] || exit 0
        systemctl disable --now "${unit##*/}"
        rm "$unit"
        systemctl daemon-reload
        ;;
    boot)
        wait_for_device
        findmnt -n -M "$folder" >/dev/null || mount "$device" "$folder"
        ;;
esac
