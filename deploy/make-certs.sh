#!/bin/sh
# Makes a certificate authority and a certificate for the host s3, unless they are there.
set -eu
cd /certs
[ -s s3.pem ] && exit 0
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
  -subj "/CN=Tributary compose CA" -keyout ca.key -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
  -subj "/CN=s3" -keyout s3.key -out s3.csr
printf 'subjectAltName=DNS:s3\nextendedKeyUsage=serverAuth\n' > s3.ext
openssl x509 -req -in s3.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile s3.ext -out s3.new
rm -f s3.csr s3.ext ca.key # nothing else is ever signed
chmod 644 ca.pem s3.new
chmod 640 s3.key
mv s3.new s3.pem
