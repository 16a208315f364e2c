# What the demo runs, each part with its files under $RUN: a private Redis and Postgres, apikeyd, an upstream, nginx.
# Sourced by demo/run; everything that is started here ends with stop_stack.

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# wait_until SECONDS COMMAND... : tries the command until it succeeds
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        if [ $SECONDS -ge $deadline ]; then
            echo "gave up waiting for: $*; the logs are in $RUN" >&2
            return 1
        fi
        sleep 0.05
    done
}

in_background() {  # in_background LOGFILE COMMAND...
    local log=$1
    shift
    "$@" >> "$log" 2>&1 &
    PIDS+=($!)
}

start_redis() {
    REDIS_PORT=$(free_port)
    in_background "$RUN/redis.log" redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --dir "$RUN" --save '' \
        --appendonly yes --maxmemory-policy noeviction
    wait_until 10 redis-cli -p "$REDIS_PORT" ping
}

# Postgres refuses to run as root: then it runs as its own user, in a folder which that user can reach.
start_postgres() {
    local bin
    bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
    PGDIR=$RUN/postgres
    AS_POSTGRES=()
    if [ "$(id -u)" -eq 0 ]; then
        PGDIR=$(mktemp -d /tmp/api-key-demo.XXXXXX)
        chown postgres: "$PGDIR"
        AS_POSTGRES=(setpriv --reuid postgres --regid postgres --init-groups --)
    else
        mkdir -p "$PGDIR"
    fi
    POSTGRES="host=127.0.0.1 port=$(free_port) user=postgres dbname=postgres"
    local port=${POSTGRES#*port=}
    port=${port%% *}
    (cd / && "${AS_POSTGRES[@]}" "$bin/initdb" -D "$PGDIR/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 -N) \
        > "$RUN/initdb.log" 2>&1
    in_background "$RUN/postgres.log" "${AS_POSTGRES[@]}" "$bin/postgres" -D "$PGDIR/data" -p "$port" \
        -k "$PGDIR" -c listen_addresses=127.0.0.1
    wait_until 20 "$bin/psql" "$POSTGRES" -c 'select 1'
}

start_apikeyd() {
    cat > "$RUN/apikeyd.yaml" <<YAML
postgres: $POSTGRES
redis: redis://127.0.0.1:$REDIS_PORT/0
listen: unix:$RUN/apikeyd.sock
usage:
  prices:
    gpt-4o-mini: {input: 0.15, output: 0.60}    # per million tokens
YAML
    "$APIKEY_BUILD/apikeyctl" --config "$RUN/apikeyd.yaml" migrate > "$RUN/migrate.log" 2>&1 ||
        { cat "$RUN/migrate.log" >&2; return 1; }
    in_background "$RUN/apikeyd.log" "$APIKEY_BUILD/apikeyd" --config "$RUN/apikeyd.yaml"
    wait_until 10 redis_has_epoch
}

redis_has_epoch() { [ "$(redis-cli -p "$REDIS_PORT" exists apikey:epoch)" = 1 ]; }

start_upstream() {
    UPSTREAM_PORT=$(free_port)
    in_background "$RUN/upstream.log" python3 demo/upstream.py "$UPSTREAM_PORT"
    wait_until 10 curl -sf "http://127.0.0.1:$UPSTREAM_PORT/"
}

# conf/nginx.conf as it is shipped, with this run's ports and paths.
start_nginx() {
    NGINX_PORT=$(free_port)
    mkdir -p "$RUN/nginx"
    cp conf/api_key_params "$RUN/nginx/"
    sed -e "s|^user .*|user  $(id -un);|" \
        -e "s|/run/nginx.pid|$RUN/nginx/nginx.pid|" \
        -e "s|/var/log/nginx/|$RUN/nginx/|" \
        -e "s|/usr/lib/nginx/modules/ngx_http_api_key_module.so|$APIKEY_BUILD/ngx_http_api_key_module.so|" \
        -e "s|redis://127.0.0.1:6379/0;|redis://127.0.0.1:$REDIS_PORT/0;|" \
        -e "s|unix:/run/apikeyd/apikeyd.sock|unix:$RUN/apikeyd.sock|" \
        -e "s|/usr/share/nginx-api-key/dashboard/|$APIKEY_BUILD/dashboard/|" \
        -e "s|127.0.0.1:8080|127.0.0.1:$UPSTREAM_PORT|" \
        -e "s|listen  80;|listen  127.0.0.1:$NGINX_PORT;|" \
        -e "s|^http {|http {\n    client_body_temp_path $RUN/nginx/body; proxy_temp_path $RUN/nginx/proxy;\n    fastcgi_temp_path $RUN/nginx/fastcgi; uwsgi_temp_path $RUN/nginx/uwsgi; scgi_temp_path $RUN/nginx/scgi;|" \
        conf/nginx.conf > "$RUN/nginx/nginx.conf"
    [ "$(id -u)" -eq 0 ] || sed -i '/^user /d' "$RUN/nginx/nginx.conf"
    in_background "$RUN/nginx/stderr.log" nginx -p "$RUN/nginx" -c "$RUN/nginx/nginx.conf" -g 'daemon off;'
    URL=http://127.0.0.1:$NGINX_PORT
    wait_until 10 curl -sf "$URL/health"
}

stop_stack() {
    local pid
    for pid in "${PIDS[@]}"; do kill "$pid" 2> /dev/null || true; done
    wait 2> /dev/null || true
    case ${PGDIR:-} in /tmp/api-key-demo.*) rm -rf "$PGDIR" ;; esac
}
