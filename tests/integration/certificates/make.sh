#!/bin/sh
# Makes certificates of every kind in the current directory, with OpenSSL's own tools and defaults:
# NAME.pem and NAME.key for a server on localhost and 127.0.0.1, and NAME.ca, which is given as its CA.
set -eu

SAN="subjectAltName=DNS:localhost,IP:127.0.0.1"
CA="basicConstraints=critical,CA:TRUE"

# key NAME [ALGORITHM…]: P-256, unless told otherwise
key() {
    name=$1
    shift
    [ $# -gt 0 ] || set -- EC -pkeyopt ec_paramgen_curve:P-256
    openssl genpkey -quiet -out "$name.key" -algorithm "$@"
}

# sign NAME ISSUER SUBJECT [EXTENSION…]: version 1 without extensions, version 3 with them
sign() {
    name=$1 issuer=$2 subject=$3
    shift 3
    openssl req -new -key "$name.key" -subj "$subject" -out "$name.csr"
    if [ $# -gt 0 ]; then
        printf '%s\n' "$@" >"$name.ext"
        set -- -extfile "$name.ext"
    fi
    if [ "$issuer" = self ]; then set -- -signkey "$name.key" "$@"; else set -- -CA "$issuer.pem" -CAkey "$issuer.key" "$@"; fi
    openssl x509 -req -in "$name.csr" -days 30 -set_serial "0x$(openssl rand -hex 8)" "$@" -out "$name.pem" 2>"$name.log"
}

# expired NAME ISSUER SUBJECT [EXTENSION…]: was valid in 2020
expired() {
    name=$1 issuer=$2 subject=$3
    shift 3
    mkdir -p "$name.d"
    : >"$name.d/index"
    {
        printf '[ca]\ndefault_ca=x\n[x]\ndatabase=%s\nnew_certs_dir=%s\nrand_serial=yes\npolicy=p\n' "$name.d/index" "$name.d"
        printf 'default_md=sha256\n'
        if [ $# -gt 0 ]; then echo x509_extensions=e; fi
        printf '[p]\ncommonName=supplied\n[e]\n'
        printf '%s\n' "$@"
    } >"$name.cnf"
    openssl req -new -key "$name.key" -subj "$subject" -out "$name.csr"
    if [ "$issuer" = self ]; then set -- -selfsign -keyfile "$name.key"; else set -- -cert "$issuer.pem" -keyfile "$issuer.key"; fi
    openssl ca -batch -notext -config "$name.cnf" "$@" -startdate 200101000000Z -enddate 210101000000Z \
        -in "$name.csr" -out "$name.pem" 2>"$name.log"
}

# trusts NAME CA: that CA's certificate is given
trusts() { cp "$2.pem" "$1.ca"; }

key ca && sign ca self "/CN=Test CA" "$CA"
key inter && sign inter ca "/CN=Intermediate CA" "$CA"
key inter1 && sign inter1 ca "/CN=Version 1 CA"

key plain && sign plain ca "/CN=server" "$SAN" && trusts plain ca
key v1 && sign v1 ca "/O=Example/CN=localhost" && trusts v1 ca
key v1-self && sign v1-self self "/CN=localhost" && trusts v1-self v1-self
key v1-unknown && sign v1-unknown self "/CN=localhost" && trusts v1-unknown ca
key v1-other-name && sign v1-other-name ca "/CN=other.example" && trusts v1-other-name ca
key v1-below-inter && sign v1-below-inter inter "/CN=localhost" && trusts v1-below-inter ca
cat inter.pem >>v1-below-inter.pem
key below-v1 && sign below-v1 inter1 "/CN=server" "$SAN" && trusts below-v1 ca
cat inter1.pem >>below-v1.pem
key v1-below-v1 && sign v1-below-v1 inter1 "/CN=localhost" && trusts v1-below-v1 ca
cat inter1.pem >>v1-below-v1.pem
key below-leaf && sign below-leaf plain "/CN=other" "$SAN" && trusts below-leaf ca
cat plain.pem >>below-leaf.pem
# A server's certificate that is trusted as it is does not make its key a CA's.
key below-given && sign below-given plain "/CN=other" "$SAN" && trusts below-given plain
cat plain.pem >>below-given.pem

key self-ca && openssl req -x509 -new -key self-ca.key -subj "/CN=localhost" -days 30 -addext "$SAN" -out self-ca.pem
trusts self-ca self-ca
key self-ca-cn && openssl req -x509 -new -key self-ca-cn.key -subj "/CN=localhost" -days 30 -out self-ca-cn.pem
trusts self-ca-cn self-ca-cn
key self-ca-unknown && openssl req -x509 -new -key self-ca-unknown.key -subj "/CN=localhost" -days 30 -addext "$SAN" -out self-ca-unknown.pem
trusts self-ca-unknown ca
key self-ca-other && openssl req -x509 -new -key self-ca-other.key -subj "/CN=localhost" -days 30 -addext "subjectAltName=DNS:other.example" -out self-ca-other.pem
trusts self-ca-other self-ca-other
key self-leaf && sign self-leaf self "/CN=localhost" "$SAN" "basicConstraints=CA:FALSE" && trusts self-leaf self-leaf
key self-expired && expired self-expired self "/CN=localhost" "$SAN" "$CA" && trusts self-expired self-expired
key ca-too && sign ca-too ca "/CN=server" "$SAN" "$CA" && trusts ca-too ca
key ca-too-usage && sign ca-too-usage ca "/CN=server" "$SAN" "$CA" "keyUsage=keyCertSign,cRLSign" && trusts ca-too-usage ca
cp plain.pem given.pem && cp plain.key given.key && trusts given plain

key cn && sign cn ca "/CN=localhost" "basicConstraints=CA:FALSE" && trusts cn ca
key cn-other && sign cn-other ca "/CN=other.example" "basicConstraints=CA:FALSE" && trusts cn-other ca
key cn-behind-san && sign cn-behind-san ca "/CN=localhost" "subjectAltName=DNS:other.example" && trusts cn-behind-san ca
key no-name && sign no-name ca "/O=Example" "basicConstraints=CA:FALSE" && trusts no-name ca
key san-other && sign san-other ca "/CN=server" "subjectAltName=DNS:other.example,IP:10.0.0.1" && trusts san-other ca
key wildcard && sign wildcard ca "/CN=server" "subjectAltName=DNS:*" && trusts wildcard ca

key limits && sign limits self "/CN=Limited CA" "$CA" "nameConstraints=permitted;DNS:.inside.example"
key limited-cn && sign limited-cn limits "/CN=localhost" "basicConstraints=CA:FALSE" && trusts limited-cn limits
key limited-v1 && sign limited-v1 limits "/CN=localhost" && trusts limited-v1 limits
key limited-san && sign limited-san limits "/CN=server" "$SAN" && trusts limited-san limits

key old && expired old ca "/CN=server" "$SAN" && trusts old ca
key old-root && expired old-root self "/CN=Old CA" "$CA"
key old-root-leaf && sign old-root-leaf old-root "/CN=server" "$SAN" && trusts old-root-leaf old-root
key no-basic && sign no-basic self "/CN=CA without" "subjectKeyIdentifier=hash"
key no-basic-leaf && sign no-basic-leaf no-basic "/CN=server" "$SAN" && trusts no-basic-leaf no-basic
key usage-only && sign usage-only self "/CN=CA by usage" "keyUsage=keyCertSign"
key usage-only-leaf && sign usage-only-leaf usage-only "/CN=server" "$SAN" && trusts usage-only-leaf usage-only
key v1-root && sign v1-root self "/CN=Version 1 root"
key v1-root-leaf && sign v1-root-leaf v1-root "/CN=server" "$SAN" && trusts v1-root-leaf v1-root
key clients && sign clients ca "/CN=server" "$SAN" "extendedKeyUsage=clientAuth" && trusts clients ca
key critical && sign critical ca "/CN=server" "$SAN" "1.2.3.4=critical,ASN1:NULL" && trusts critical ca

key same-name && sign same-name self "/CN=Test CA" "$CA"
cp plain.pem other-ca.pem && cp plain.key other-ca.key && trusts other-ca same-name
key same-name-rsa RSA && sign same-name-rsa self "/CN=Test CA" "$CA"
cp plain.pem other-kind.pem && cp plain.key other-kind.key && trusts other-kind same-name-rsa

key ed25519 ED25519 && sign ed25519 ca "/CN=server" "$SAN" && trusts ed25519 ca
key p384 EC -pkeyopt ec_paramgen_curve:P-384 && sign p384 ca "/CN=server" "$SAN" && trusts p384 ca
key p521 EC -pkeyopt ec_paramgen_curve:P-521 && sign p521 ca "/CN=server" "$SAN" && trusts p521 ca
key p521-ca EC -pkeyopt ec_paramgen_curve:P-521 && sign p521-ca self "/CN=P-521 CA" "$CA"
key p521-signed && sign p521-signed p521-ca "/CN=server" "$SAN" && trusts p521-signed p521-ca
key rsa RSA && sign rsa ca "/CN=server" "$SAN" && trusts rsa ca
key rsa-1024 RSA -pkeyopt rsa_keygen_bits:1024 && sign rsa-1024 ca "/CN=server" "$SAN" && trusts rsa-1024 ca
key pss RSA-PSS && sign pss ca "/CN=server" "$SAN" && trusts pss ca
key pss-ca RSA-PSS && sign pss-ca self "/CN=PSS CA" "$CA"
key pss-signed && sign pss-signed pss-ca "/CN=server" "$SAN" && trusts pss-signed pss-ca
# Forgeries and other attempts to be let in.
key x-v1-forged && sign x-v1-forged same-name "/CN=localhost" && trusts x-v1-forged ca
key x-ca-too-forged && sign x-ca-too-forged same-name "/CN=server" "$SAN" "$CA" && trusts x-ca-too-forged ca
key x-self-forged && sign x-self-forged self "/CN=localhost" "$SAN" "$CA" && trusts x-self-forged self-ca
key x-v1-old && expired x-v1-old ca "/CN=localhost" && trusts x-v1-old ca
key x-ca-too-old && expired x-ca-too-old ca "/CN=server" "$SAN" "$CA" && trusts x-ca-too-old ca
key short && sign short self "/CN=Short CA" "basicConstraints=critical,CA:TRUE,pathlen:0"
key below-short && sign below-short short "/CN=Below short CA" "$CA"
key x-short-v3 && sign x-short-v3 below-short "/CN=server" "$SAN" && trusts x-short-v3 short
key x-short-v1 && sign x-short-v1 below-short "/CN=localhost" && trusts x-short-v1 short
cat below-short.pem >>x-short-v3.pem && cat below-short.pem >>x-short-v1.pem
key old-inter && expired old-inter ca "/CN=Old intermediate CA" "$CA"
key x-old-inter && sign x-old-inter old-inter "/CN=localhost" && trusts x-old-inter ca && cat old-inter.pem >>x-old-inter.pem
# A CA's certificate that has expired, and its renewed twin of the same name and key behind or before it.
key twin-old && expired twin-old ca "/CN=Twin CA" "$CA"
cp twin-old.key twin.key && sign twin ca "/CN=Twin CA" "$CA"
cp twin-old.key twin-limited.key && sign twin-limited ca "/CN=Twin CA" "$CA" "nameConstraints=permitted;DNS:other.example"
key twins-ca && sign twins-ca twin "/CN=server" "$SAN" "$CA" && trusts twins-ca ca && cat twin-old.pem twin.pem >>twins-ca.pem
key twins-ca-before && sign twins-ca-before twin "/CN=server" "$SAN" "$CA" && trusts twins-ca-before ca && cat twin.pem twin-old.pem >>twins-ca-before.pem
key twins-v1 && sign twins-v1 twin "/CN=localhost" && trusts twins-v1 ca && cat twin-old.pem twin.pem >>twins-v1.pem
key twins-v3 && sign twins-v3 twin "/CN=server" "$SAN" && trusts twins-v3 ca && cat twin-old.pem twin.pem >>twins-v3.pem
key x-twins-old && sign x-twins-old twin "/CN=server" "$SAN" "$CA" && trusts x-twins-old ca && cat twin-old.pem twin-old.pem >>x-twins-old.pem
key forged-inter && sign forged-inter same-name "/CN=Forged CA" "$CA"
key x-forged-inter && sign x-forged-inter forged-inter "/CN=localhost" && trusts x-forged-inter ca && cat forged-inter.pem >>x-forged-inter.pem
key client-inter && sign client-inter ca "/CN=CA for clients" "$CA" "extendedKeyUsage=clientAuth"
key x-client-inter && sign x-client-inter client-inter "/CN=localhost" && trusts x-client-inter ca && cat client-inter.pem >>x-client-inter.pem
key no-sign-inter && sign no-sign-inter ca "/CN=CA that may not sign" "$CA" "keyUsage=digitalSignature"
key x-no-sign-inter && sign x-no-sign-inter no-sign-inter "/CN=localhost" && trusts x-no-sign-inter ca && cat no-sign-inter.pem >>x-no-sign-inter.pem
key limited-inter && sign limited-inter ca "/CN=Limited intermediate" "$CA" "nameConstraints=critical,permitted;DNS:.inside.example"
key x-limited-inter && sign x-limited-inter limited-inter "/CN=www.localhost" "$SAN" && trusts x-limited-inter ca && cat limited-inter.pem >>x-limited-inter.pem
key x-below-self-leaf && sign x-below-self-leaf self-leaf "/CN=other" "$SAN" && trusts x-below-self-leaf self-leaf
key x-v1-below-v1-self && sign x-v1-below-v1-self v1 "/CN=localhost" && trusts x-v1-below-v1-self v1
key x-missing-inter && sign x-missing-inter inter "/CN=localhost" && trusts x-missing-inter ca
key loop-a && key loop-b && sign loop-a self "/CN=Loop A" "$CA" && sign loop-b loop-a "/CN=Loop B" "$CA" && sign loop-a loop-b "/CN=Loop A" "$CA"
key x-loop && sign x-loop loop-a "/CN=localhost" && trusts x-loop ca && cat loop-a.pem loop-b.pem >>x-loop.pem
# What is let in all the same.
key y-root-sent && sign y-root-sent ca "/CN=localhost" && trusts y-root-sent ca && cat ca.pem >>y-root-sent.pem
key y-inter-given && sign y-inter-given inter "/CN=localhost" && trusts y-inter-given inter
key y-inter-given-v3 && sign y-inter-given-v3 inter "/CN=server" "$SAN" && trusts y-inter-given-v3 inter
rm -f ./*.csr ./*.ext
