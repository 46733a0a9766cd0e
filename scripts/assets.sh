#!/usr/bin/env bash
# Fetches the pages' third-party files at the versions and checksums of
# package-lock.json and puts the ones that the application serves into
# internal/ui/assets/vendor. Quick when they are up to date.
set -euo pipefail
cd "$(dirname "$0")/.."

vendor=internal/ui/assets/vendor
stamp=$vendor/.stamp
want=$(cat package-lock.json "$0" | sha256sum | cut -d' ' -f1)
files=(nhsuk-frontend.min.css nhsuk-frontend.min.js)

current() {
  [ "$(cat "$stamp" 2>/dev/null || true)" = "$want" ] || return 1
  for f in "${files[@]}"; do [ -s "$vendor/$f" ] || return 1; done
  # The tests read the checker and the design system's own examples.
  [ -s node_modules/axe-core/axe.min.js ] && [ -d node_modules/nhsuk-frontend/dist ]
}
if current; then exit 0; fi

command -v npm >/dev/null || { echo "assets: npm is missing (Debian: apt-get install npm)" >&2; exit 1; }
echo "assets: fetching the design system"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null

from=node_modules/nhsuk-frontend/dist/nhsuk
mkdir -p "$vendor"
# The fonts live on another host: leave them out, the next font of each list
# is on the machine.
sed -E 's/@font-face\{[^}]*\}//g; s#/\*. *sourceMappingURL=[^*]*\*/##g' "$from/nhsuk-frontend.min.css" >"$vendor/nhsuk-frontend.min.css"
sed -E 's#//. *sourceMappingURL=.*$##' "$from/nhsuk-frontend.min.js" >"$vendor/nhsuk-frontend.min.js"
if grep -Eo '(url\(|@import)[^)]*https?://[^)]*' "$vendor/nhsuk-frontend.min.css"; then
  echo "assets: the style sheet asks another host for a file" >&2
  exit 1
fi
echo "$want" >"$stamp"
