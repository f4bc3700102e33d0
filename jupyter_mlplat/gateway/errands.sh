# What sshd has done for it, in a shell because each login waits for it three times: bash is there in 2 ms.
#
#   keys URL SECRET TUNNELS OWN LOGIN FINGERPRINT KEY
#                                   the line of authorized_keys for a key that is offered; none where it is unknown
#   connect URL SECRET TUNNELS INSTANCE KEY
#                                   the way to the instance: becomes its sshd, which speaks on standard input
#   owners URL TOKEN                on an instance: the public keys of its owner
#   away                            says that the platform does not answer
#
# SECRET and TOKEN are files that only the asking side can read. TUNNELS is where the tunnel notes who comes through it
# (`tunnel_notes.py`), OWN the address that it comes from itself. `keys` admits to nothing but `connect`, and `connect`
# asks the platform again: so what an open connection to the gateway can still do is decided anew each time.

# lengths are bytes, and nothing that is said is a pattern
LC_ALL=C
set -f

PATIENCE=10      # seconds that the platform has for an answer, and an instance's sshd to come up
PAUSE=0.3        # seconds between two looks at an instance that is starting, and after a last word
LONGEST_WAIT=900 # seconds

NO_COMMANDS='the gateway runs no commands. Connect to the instance through it, as `mlplat ssh config` sets it up.'
AWAY='the platform does not answer, so nobody can be let in. Sessions that are open go on. Try again soon.'
NO_SSHD='nothing answers for SSH on the instance. Restart it; if that does not help, its image has no SSH server: choose another image.'
NOT_IN_TIME='the instance did not start in time. Look at it in the console.'

# While the platform is away any key leads to a word that says so. Whoever comes through the tunnel has its address
# here; `connect` knows the true one.
keys() {
    local url=$1 secret=$2 tunnels=$3 own=$4 login=$5 fingerprint=$6 offered=$7 line instance key public from=
    ask "$url/keys" gateway "$secret" login "$login" fingerprint "$fingerprint" || authorized '' "$offered" away
    for line in "${lines[@]}"; do
        case $line in
            'instance '*) instance=${line#* } ;;
            'key '*) key=${line#* } ;;
            'public '*) public=${line#* } ;;
            'from '*) from+=${line#* }, ;;
        esac
    done
    [[ -z $public ]] || authorized "${from:+$from$own}" "$public" connect "$url" "$secret" "$tunnels" "$instance" "$key"
}

# A line of authorized_keys: FROM, PUBLIC, and the words of an errand. sshd takes \" for a quote and nothing else.
authorized() {
    local from=$1 public=$2 word command=exec
    for word in bash "$0" "${@:3}"; do command+=" '${word//"'"/"'\''"}'"; done
    printf 'restrict,command="%s"%s %s\n' "${command//'"'/'\"'}" "${from:+,from=\"$from\"}" "$public"
}

# Wait until the instance is there, with words on the way, and become its sshd; refused where that is so.
connect() {
    local url=$1 secret=$2 tunnels=$3 instance=$4 key=$5 asked words said=
    [[ -z $SSH_ORIGINAL_COMMAND ]] || refused "$NO_COMMANDS"
    true_address "$tunnels" $SSH_CONNECTION
    process $$
    for ((asked = 0; SECONDS < LONGEST_WAIT; asked++)); do
        ask "$url/connections" gateway "$secret" instance "$instance" key "$key" address "$address" visit "$process" \
            gateway "$HOSTNAME" asked "$asked" || refused "$AWAY"
        words=
        follow
        [[ $words == "$said" ]] || say "$words"
        said=$words
        sleep $PAUSE
    done
    refused "$NOT_IN_TIME"
}

# Do what the answer says; comes back, with its `words`, where it is to be asked again.
follow() {
    local line run=()
    for line in "${lines[@]}"; do
        case $line in
            'run '*) run+=("${line#* }") ;;
            'dial '*) dial ${line#* } || refused "$NO_SSHD" ;;
            'refuse '*) refused "${line#* }" ;;
            'wait '*) words=${line#* } ;;
        esac
    done
    ((${#run[@]} == 0)) || exec "${run[@]}"
}

# Connect to an instance's sshd, which may just be coming up: as descriptor 3, where the program that follows finds it.
dial() {
    local end=$((SECONDS + PATIENCE))
    until { exec 3<>"/dev/tcp/$1/$2"; } 2>/dev/null; do
        ((SECONDS < end)) || return 1
        sleep $PAUSE
    done
}

owners() {
    local line
    ask "$1/keys" token "$2" || exit 1
    for line in "${lines[@]}"; do printf '%s\n' "${line#public }"; done
}

away() {
    refused "$AWAY"
}

# ask URL SCHEME SECRET [NAME VALUE]…: put a question to the platform, whose answer are the `lines`, each NAME VALUE.
# Fails unless all of the answer came and says success.
ask() {
    local place=${1#http://} scheme=$2 secret query= name value length=0 IFS=$'\n'
    local door=${place%%/*}
    local host=${door%:*}
    { read -r secret <"$3"; } 2>/dev/null
    shift 3
    while (($#)); do
        encode "$2"
        query+="$1=$encoded&"
        shift 2
    done
    lines=()
    host=${host#\[}
    { exec 4<>"/dev/tcp/${host%\]}/${door##*:}"; } 2>/dev/null || return 1
    printf 'POST /%s?%s HTTP/1.0\r\nHost: %s\r\nAuthorization: %s %s\r\nContent-Length: 0\r\n\r\n' \
        "${place#*/}" "$query" "$door" "$scheme" "$secret" >&4
    IFS=' ' read -r -t $PATIENCE -u 4 name value && [[ $value == 200* ]] || return 1
    while IFS=$' \r' read -r -t $PATIENCE -u 4 name value && [[ $name ]]; do
        [[ ${name,,} == content-length: ]] && length=$value
    done
    IFS= read -r -t $PATIENCE -u 4 -N "$length" value || ((length == 0)) || return 1
    exec 4>&-
    lines=($value)
}

# The text as it may stand in the query of an address: `encoded`.
encode() {
    local at byte
    encoded=
    for ((at = 0; at < ${#1}; at++)); do
        byte=${1:at:1}
        if [[ $byte != [a-zA-Z0-9._~-] ]]; then
            printf -v byte %d "'$byte"
            printf -v byte %%%02X $((byte & 255))
        fi
        encoded+=$byte
    done
}

# The client's `address` in the words of SSH_CONNECTION; whoever comes through the tunnel is told by its note, which is
# good while the tunnel that wrote it runs.
true_address() {
    local writer
    { read -r address writer <"$1/$2-$3"; } 2>/dev/null
    [[ $writer ]] && process "${writer%%-*}" && [[ $process == "$writer" ]] || address=$2
}

# PID-STARTED of a process, which no other ever has: `process`.
process() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    stat=(${stat##*) })
    process=$1-${stat[19]}
}

# A line to the person at the other end.
say() {
    printf 'mlplat: %s\r\n' "$1" >&2
}

# ssh ends its way here once nothing more can come through it, so the word has to be there first.
refused() {
    say "$1"
    sleep $PAUSE
    exit 1
}

"$@"
