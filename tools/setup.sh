# SPDX-License-Identifier: Apache-2.0
# What ./start and ./test share, to be sourced from the root of the sources: install what is missing, configure, build.

say() { printf '%s\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Debian package, and the command that succeeds where it is not needed.
NEEDED='
gcc                 command -v "${CC:-cc}"
libc6-dev           test -e /usr/include/stdio.h
make                command -v make
autoconf            command -v autoreconf
automake            command -v automake
libtool             command -v libtoolize
pkg-config          command -v pkg-config
libconfig-dev       pkg-config --exists "libconfig >= 1.5"
libjansson-dev      pkg-config --exists "jansson >= 2.13"
libopenblas-dev     pkg-config --exists openblas
libhdf5-dev         pkg-config --exists hdf5
libmatio-dev        pkg-config --exists matio
zlib1g-dev          pkg-config --exists zlib'
NEEDED_BY_TESTS='
check               pkg-config --exists "check >= 0.15"
libdnnl-dev         test -e /usr/include/dnnl.h
g++                 command -v "${CXX:-c++}"'

# install_missing TABLE: with apt, through sudo unless root, and only what is missing.
install_missing() {
    local package condition missing=() as_root=()
    while read -r package condition; do
        [ -z "$package" ] || eval "$condition" >/dev/null 2>&1 || missing+=("$package")
    done <<<"$1"
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "Missing, under their Debian names: ${missing[*]}. Install them and start again."
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || die "Missing: ${missing[*]}. As root: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    say "Installing ${missing[*]} with apt ..."
    "${as_root[@]}" apt-get -q update >/dev/null || die "apt-get update failed; is there a network?"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends "${missing[@]}" \
        >/dev/null || die "apt-get could not install ${missing[*]}"
}

# logged LOG COMMAND...: quiet unless it fails.
logged() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 && return 0
    tail -n 40 "$log" >&2
    say "failed: $* (all of it: $log)" >&2
    return 1
}

JOBS=$(nproc 2>/dev/null || echo 2)
ROOT=$PWD

# configured FOLDER OPTIONS...: make the folder ready for `make`, once.
configured() {
    local folder=$1
    shift
    [ ! -e config.status ] || die "These sources are configured in place; run 'make distclean' first."
    if [ -e "$folder/Makefile" ] && ! grep -qxF "prefix = $ROOT/build/local" "$folder/Makefile"; then
        die "$folder was configured by hand, to be installed elsewhere: use make in it, or remove it and start again."
    fi
    mkdir -p "$folder"
    [ -e configure ] || logged "$folder/autogen.log" ./autogen.sh || return 1
    [ -e "$folder/Makefile" ] ||
        (cd "$folder" && logged configure.log "$ROOT/configure" --quiet --prefix="$ROOT/build/local" "$@")
}
