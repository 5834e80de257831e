# connect NAME COMMAND...: connects once; the service gives up at the first failure, as most do.
connect() {
    name=$1
    shift
    if ! answer=$("$@" 2>&1); then
        echo "FAILED connection to $name: $answer"
        exit 1
    fi
    echo "connected to $name"
}
