# What is backed up, and where to; written by dtk and read by backup.sh.
store_host={{ store_host | quote }}
store_port={{ store_port }}
paths={{ paths | map('quote') | join(' ') | quote }}
databases={{ databases | join(' ') | quote }}
restore_databases={{ restore_databases | join(' ') | quote }}

dump() {
    case $1 in
{% for name, command in databases.items() %}        {{ name | quote }}) sh -c {{ command | quote }} ;;
{% endfor %}        *) return 1 ;;
    esac
}

load() {
    case $1 in
{% for name, command in restore_databases.items() %}        {{ name | quote }}) sh -c {{ command | quote }} ;;
{% endfor %}        *) return 1 ;;
    esac
}
