# Runs one PostgreSQL server for as long as standard input stays open.
#
# usage: server.sh BIN PORT PASSWORD
# reads: stop, start (one per line); says: DIR path, READY, STOPPED, FAILED
# The end of input ends the server and removes its data, whatever became of the tests.
set -u
bin=$1 port=$2 password=$3
umask 077
dir=$(mktemp -d "${TMPDIR:-/tmp}/doorward-postgres.XXXXXX") || exit 1
cd "$dir" || exit 1
pid=

stop() {
    [ -n "$pid" ] || return 0
    kill -INT "$pid" 2>/dev/null
    wait "$pid" 2>/dev/null
    pid=
}
trap 'stop; cd /; rm -rf -- "$dir"' EXIT
trap 'exit 1' HUP INT TERM

start() {
    "$bin/postgres" -D "$dir/data" </dev/null >>"$dir/log" 2>&1 &
    pid=$!
    tries=0
    until "$bin/pg_isready" -q -h "$dir" -p "$port"; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$pid" 2>/dev/null; then
            tail -n 20 "$dir/log" >&2
            echo FAILED
            return 1
        fi
        sleep 0.1
    done
    echo READY
}

printf '%s\n' "$password" >"$dir/password"
"$bin/initdb" -D "$dir/data" -U doorward -E UTF8 --locale=C.UTF-8 --auth-local=trust \
    --auth-host=scram-sha-256 --pwfile="$dir/password" --no-sync >"$dir/log" 2>&1 || {
    tail -n 20 "$dir/log" >&2
    echo FAILED
    exit 1
}
# Small, but durable: fsync stays on, since tests kill the server and count what is left.
cat >>"$dir/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
port = $port
unix_socket_directories = '$dir'
max_connections = 200
shared_buffers = 16MB
max_wal_size = 128MB
fsync = on
autovacuum = off
jit = off
CONF
echo "DIR $dir"
start || exit 1
while read -r command; do
    case $command in
    stop) stop && echo STOPPED ;;
    start) start ;;
    esac
done
