# Shared by the scripts beside it: what must be installed, and how.
# shellcheck shell=bash

say() { printf '%s\n' "$*"; }
complain() { printf '%s\n' "$*" >&2; }

# The words to put before a command of the administrator; fails where there is no such right.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo "$@"
  else
    return 126
  fi
}

# install_packages COMMAND:PACKAGE... installs the packages whose command is missing. Where it may not, it prints the
# one line to run and returns 1.
install_packages() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${pair#*:}")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if command -v apt-get >/dev/null 2>&1; then
    say "installing ${missing[*]}"
    if as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}" >/dev/null 2>&1; then return 0; fi
    if as_root apt-get update -q >/dev/null 2>&1 &&
      as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}" >/dev/null 2>&1; then
      return 0
    fi
  fi
  complain "missing: ${missing[*]}. Install them with:"
  complain "  sudo apt-get install -y ${missing[*]}"
  return 1
}

# Node 20.19 or later, as package.json asks for.
require_node() {
  if ! command -v node >/dev/null 2>&1 ||
    ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
    complain 'Node.js 20.19 or later is needed: see https://nodejs.org/en/download'
    return 1
  fi
}

# npm ci where it has not been done for this package-lock.json, and the build.
prepare_checkout() {
  if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say 'installing packages (npm ci)'
    npm ci --no-progress --no-update-notifier --loglevel=error
  fi
  say 'building'
  npm run --silent build
}

# True where this user can mount through the kernel.
can_mount() {
  [ -c /dev/fuse ] || return 1
  [ "$(id -u)" -eq 0 ] || command -v fusermount3 >/dev/null 2>&1 || return 1
  (: <>/dev/fuse) 2>/dev/null
}
