// Package container runs images: a process that sees a root file system, processes,
// users, a network and a machine name of its own, and may do no more than it needs.
// Root may run containers, and so may anybody else, who is root in there then.
//
// What an image, the network or a process in a container can bring is taken to be
// hostile. A container leaves nothing behind: its namespaces end with its first
// process, and that with the process that called Run. What lies on the disk is found
// by its lock and removed by the next Run, or Prune.
//
// Reading order: store.go (what lies where), image.go and layers.go (from an image to
// folders), worker.go (unpacking as somebody else), spec.go (what is asked for),
// run.go (a container's life from outside), start.go (its beginning), streams.go, ports.go. Package inside has
// its life from inside, linux, userns, cgroup, seccomp, account and control what both
// rest on.
package container
