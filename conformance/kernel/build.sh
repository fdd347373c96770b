#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds what the guest boots: Debian's Linux 6.12 with the test driver, and the agent as its only program. Takes
# minutes once, and nothing when there is nothing to do. Prints three paths: kernel, initramfs, configuration.
# What it needs is in ../README.md. Everything is built outside of the repository, and the kernel's source is not changed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${SHOOTDOWN_CONFORMANCE:-${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/shootdown-conformance}
tarball=${LINUX_TARBALL:-/usr/src/linux-source-6.12.tar.xz}

fail() {
  printf 'conformance: %s\n' "$1" >&2
  exit 2
}
[ "$(uname -sm)" = 'Linux x86_64' ] || fail "the kernel is built on Linux on x86-64, not on $(uname -sm)"
for needed in "$tarball" /usr/include/gelf.h /usr/include/openssl/ssl.h /usr/include/stdio.h; do
  [ -e "$needed" ] || fail "there is no $needed: install what conformance/README.md names"
done
for tool in make gcc flex bison bc xz cpio gzip perl qemu-system-x86_64; do
  command -v "$tool" >/dev/null || fail "there is no $tool: install what conformance/README.md names"
done
{ mkdir -p "$cache" && [ -w "$cache" ] && : >>"$cache/lock"; } 2>/dev/null ||
  fail "can't write to $cache: SHOOTDOWN_CONFORMANCE names another folder"
exec 9>>"$cache/lock"
if ! flock -n 9; then
  echo "conformance: waiting for another one that builds in $cache" >&2
  flock 9
fi

# A kernel of its own for each source, configuration and compiler.
key=$({
  stat -c '%s %Y' "$tarball"
  gcc --version | head -1
  cat "$here/kernel.config"
  echo 1 # how it is built; count it up when that changes
} | sha256sum | cut -c 1-16)
dir=$cache/$key
mkdir -p "$dir"

if [ ! -e "$dir/bzImage" ]; then
  echo "conformance: building the kernel in $dir; see build.log" >&2
  began=$SECONDS
  : >"$dir/build.log"
  if [ -t 2 ]; then
    while sleep 1 && kill -0 $$ 2>/dev/null; do
      printf '\r\033[K%d s  %d of about 1,600 files' $((SECONDS - began)) "$(grep -c '^  [A-Z]' "$dir/build.log")" >&2
    done &
    trap 'kill '$!'; printf "\r\033[K" >&2' EXIT
  fi
  # Nothing of the machine that builds is in the banner, but for the compiler.
  export KBUILD_BUILD_USER=shootdown KBUILD_BUILD_HOST=conformance KBUILD_BUILD_VERSION=1
  export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
  set +e # or it would not hold inside of what is tested
  (
    set -e
    if [ ! -e "$dir/linux/Makefile" ]; then
      rm -rf "$dir/linux.part"
      mkdir "$dir/linux.part"
      tar -xJf "$tarball" -C "$dir/linux.part" --strip-components=1
      mv "$dir/linux.part" "$dir/linux"
    fi
    build=$dir/build
    mkdir -p "$build/lib"
    # Whether this machine has Rust is nothing that the configuration should say.
    make -C "$dir/linux" O="$build" RUSTC=false tinyconfig
    (cd "$build" && "$dir/linux/scripts/kconfig/merge_config.sh" -m .config "$here/kernel.config" && make RUSTC=false olddefconfig)
    while IFS= read -r line; do
      case $line in
        CONFIG_*=n) ! grep -q "^${line%=n}=" "$build/.config" || fail "the configuration has not taken $line" ;;
        CONFIG_*) grep -qxF "$line" "$build/.config" || fail "the configuration has not taken $line" ;;
      esac
    done <"$here/kernel.config"
    # A device that reads memory of its own must be given the page behind it: the driver stores the device page, which
    # has no contents, and the kernel dies (docs/conformance.md). The build takes this copy before the source's file.
    sed '/^static int dmirror_do_fault/,/^}/s/\<entry = page;/entry = is_device_private_page(page) ? page->zone_device_data : page;/' \
      "$dir/linux/lib/test_hmm.c" >"$build/lib/test_hmm.c"
    ! cmp -s "$dir/linux/lib/test_hmm.c" "$build/lib/test_hmm.c" || fail 'the test driver is not the one that is known'
    make -C "$build" -j"$(nproc)" RUSTC=false bzImage
  ) >>"$dir/build.log" 2>&1
  status=$?
  set -e
  [ "$status" -eq 0 ] || fail "the kernel has not been built: see the end of $dir/build.log"
  cp "$dir/build/.config" "$dir/config"
  cp "$dir/build/arch/x86/boot/bzImage" "$dir/bzImage.part"
  mv "$dir/bzImage.part" "$dir/bzImage"
fi

# The agent is made anew whenever its source differs.
agent=$(cat "$here"/agent/*.[ch] | sha256sum | cut -c 1-16)
if [ ! -e "$dir/initramfs-$agent.gz" ]; then
  rm -rf "$dir/root"
  mkdir -p "$dir/root/dev" "$dir/root/proc" "$dir/root/sys"
  gcc -std=gnu11 -O2 -Wall -Wextra -Werror -static -I "$dir/linux/lib" -I "$dir/linux/mm" \
    -o "$dir/root/init" "$here"/agent/*.c || fail 'the agent does not compile'
  (cd "$dir/root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --quiet | gzip -9n) >"$dir/initramfs.part"
  # Another checkout may be about to boot another one.
  find "$dir" -name 'initramfs-*.gz' -mtime +30 -delete
  mv "$dir/initramfs.part" "$dir/initramfs-$agent.gz"
fi
printf '%s\n' "$dir/bzImage" "$dir/initramfs-$agent.gz" "$dir/config"
