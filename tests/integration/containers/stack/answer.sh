# answer STATUS: reads a request on standard input and answers it.
answer() {
    while read -r line && [ "$line" != "$(printf '\r')" ]; do :; done
    printf 'HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n' "$1"
}
