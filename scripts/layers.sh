#!/usr/bin/env bash
# layers.sh FOLDER makes two folders in FOLDER that become layers of an image, out of
# packages of Debian, without root and without installing anything: "alpine-base" is
# busybox and the files that a small system has, "python-runtime" Python with the
# libraries that it needs, and an /app.py.
. "$(dirname "$0")/lib.sh"

target=${1:?"usage: layers.sh FOLDER"}
umask 022
mkdir -p "$target"
target=$(cd "$target" && pwd)

# apt PROGRAM ARGUMENTS…: runs a program of apt in $work, where packages are put.
options=(-q)
apt() { (cd "$work" && "$1" "${options[@]}" "${@:2}"); }

# needs PACKAGE: it, and what it depends on to run. That is not what installs packages.
declare -A depends
needs() {
	local name
	case " dpkg debconf ${packages[*]} " in *" $1 "*) return ;; esac
	packages+=("$1")
	for name in ${depends[$1]-}; do needs "$name"; done
}

# choose: sets $packages.
choose() {
	local line name=''
	packages=(busybox-static)
	apt apt-cache depends --recurse --important python3-minimal >"$work/depends" || return
	while read -r line; do
		case $line in
		*'<'*) ;; # is not a package
		*Depends:*) depends[$name]+=" ${line##* }" ;;
		*) name=$line ;;
		esac
	done <"$work/depends"
	needs python3-minimal
}

download() { choose && apt apt-get download "${packages[@]}"; }

# Where there are no lists of packages apt gets some of our own.
fetch() {
	download && return
	mkdir -p "$work/apt/lists/partial" "$work/apt/archives/partial"
	options+=(-o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt")
	apt apt-get update && download
}

# unpack FOLDER PACKAGE…: puts the files of packages there, but for what only people
# read, and tables of rare character sets.
unpack() {
	local folder=$1 name
	shift
	for name; do
		dpkg-deb --fsys-tarfile "$work/${name}"_*.deb |
			tar x -C "$folder" --keep-directory-symlink --no-same-owner --exclude './usr/share/*' --exclude '*/gconv'
	done
}

base() {
	local name dir=$target/alpine-base
	rm -rf "$dir"
	mkdir -p "$dir"/{bin,dev,etc,home,proc,root,run,sys,tmp,usr/bin,var/tmp} "$work/busybox"
	chmod 1777 "$dir/tmp" "$dir/var/tmp"
	chmod 700 "$dir/root"
	unpack "$work/busybox" busybox-static
	cp "$(find "$work/busybox" -name busybox -type f)" "$dir/bin/busybox"
	for name in $("$dir/bin/busybox" --list); do
		if [ "$name" != busybox ]; then ln -s busybox "$dir/bin/$name"; fi
	done
	ln -s /bin/busybox "$dir/usr/bin/env" # where scripts look for it
	cat >"$dir/etc/passwd" <<-'END'
		root:x:0:0:root:/root:/bin/sh
		app:x:1000:1000:app:/home/app:/bin/sh
		nobody:x:65534:65534:nobody:/:/bin/false
	END
	printf '%s\n' root:x:0: mail:x:8: app:x:1000: nogroup:x:65534: >"$dir/etc/group"
	printf '%s\n' NAME=busybox ID=busybox >"$dir/etc/os-release"
}

runtime() {
	local dir=$target/python-runtime
	rm -rf "$dir"
	mkdir -p "$dir"/usr/{bin,lib,lib64}
	# The loader of programs is below /lib or /lib64; some packages have it in /usr.
	ln -s usr/lib "$dir/lib"
	ln -s usr/lib64 "$dir/lib64"
	unpack "$dir" "${packages[@]:1}"
	ln -s python3 "$dir/usr/bin/python"
	cat >"$dir/app.py" <<-'END'
		import platform, sys

		print("Python", platform.python_version(), "on", platform.system())
		print("arguments:", *sys.argv[1:])
		with open("/tmp/written", "w") as f:
		    print("a file that app.py wrote", file=f)
		print(open("/tmp/written").read(), end="")
	END
}

fetch >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; fail "cannot get the packages"; }
base
runtime
