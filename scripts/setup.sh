#!/usr/bin/env bash
# Installs what building, the demo and the tests need: Debian packages, Go
# modules, the pages' third-party assets and what face verification runs. Quick
# when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  gcc libc6-dev                      # face verification and the race detector need cgo
  pcscd libpcsclite1 vsmartcard-vpcd # a real PC/SC service and a virtual reader
  opensc yubico-piv-tool yubikey-manager # the tools that examine the card,
  gnupg gpg-agent scdaemon           # those of OpenPGP cards too
  chromium                           # the browser that walks through the pages
  postgresql                         # the larger of the two databases
  softhsm2                           # an HSM in software, for the key provider pkcs11
  openssl util-linux
)

missing=()
for p in "${packages[@]}"; do
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing+=("$p")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "setup: installing ${missing[*]}"
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  export DEBIAN_FRONTEND=noninteractive
  # A machine without a running init must not start services on installation.
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

go mod download
scripts/assets.sh
scripts/models.sh
