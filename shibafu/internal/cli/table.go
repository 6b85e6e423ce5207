package cli

import (
	"context"
	"flag"
)

// command is one subcommand.
type command struct {
	// group is the heading that it is listed under.
	group string
	// name is all its words: "registry serve".
	name string
	// args is what follows the name in a usage line.
	args string
	// what it does, in one line.
	what string
	// least and most are how many arguments it takes; most is -1 where there is no
	// end to them.
	least, most int
	// foreign tells that what follows the first argument is not ours to read, flags
	// included.
	foreign bool
	// resumes tells that after an interruption the same command goes on.
	resumes bool
	// takes says what the arguments are, one after the other; the last holds for all
	// that follow.
	takes []kind
	// more follows the flags in its help.
	more string
	// define defines the flags, and returns what is done once they are set.
	define func(*flag.FlagSet) action
}

// kind is what an argument is, for those who complete it.
type kind int

const (
	nothing kind = iota
	anImage      // that is here
	aPlace
	aLayer
	aHost
	aFile
	aShell
	aLevel
)

// action does what a command is for.
type action func(ctx context.Context, args []string, s Streams) error

// The groups.
const (
	ofRegistry = "Serve a registry"
	ofKeeping  = "Look after a registry"
	ofImages   = "Images"
	ofLayers   = "Layers"
	ofRunning  = "Containers"
	ofAccounts = "Accounts"
	ofItself   = "This program"
)

// commands is the table of all there is, in the order of the usage.
func commands() []command {
	return []command{
		{group: ofRegistry, name: "registry serve", what: "serve a registry", more: settingsHelp, define: serve},
		{group: ofRegistry, name: "registry fsck", what: "check a registry's store, and mend it", more: settingsHelp, define: fsck},
		{group: ofKeeping, name: "registry user add", args: "NAME", what: "let somebody in", least: 1, most: 1, takes: []kind{nothing}, more: settingsHelp, define: userAdd},
		{group: ofKeeping, name: "registry user passwd", args: "NAME", what: "give a user another password", least: 1, most: 1, takes: []kind{nothing}, more: settingsHelp, define: userPassword},
		{group: ofKeeping, name: "registry user disable", args: "NAME...", what: "keep users out", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: userDisable},
		{group: ofKeeping, name: "registry user enable", args: "NAME...", what: "let them in again", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: userEnable},
		{group: ofKeeping, name: "registry user rm", args: "NAME...", what: "take users away", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: userRemove},
		{group: ofKeeping, name: "registry user ls", what: "list the users", more: settingsHelp, define: userList},
		{group: ofKeeping, name: "registry robot add", args: "NAME", what: "let a program in, by a secret of its own", least: 1, most: 1, takes: []kind{nothing}, more: settingsHelp, define: robotAdd},
		{group: ofKeeping, name: "registry robot renew", args: "NAME", what: "give a robot another secret", least: 1, most: 1, takes: []kind{nothing}, more: settingsHelp, define: robotRenew},
		{group: ofKeeping, name: "registry robot disable", args: "NAME...", what: "keep robots out", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: robotDisable},
		{group: ofKeeping, name: "registry robot enable", args: "NAME...", what: "let them in again", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: robotEnable},
		{group: ofKeeping, name: "registry robot rm", args: "NAME...", what: "take robots away", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: robotRemove},
		{group: ofKeeping, name: "registry robot ls", what: "list the robots", more: settingsHelp, define: robotList},
		{group: ofKeeping, name: "registry group add", args: "GROUP MEMBER...", what: "put somebody into a group", least: 2, most: -1, takes: []kind{nothing}, more: settingsHelp, define: groupAdd},
		{group: ofKeeping, name: "registry group rm", args: "GROUP [MEMBER...]", what: "take members out of a group, or the group away", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: groupRemove},
		{group: ofKeeping, name: "registry group ls", what: "list the groups", more: settingsHelp, define: groupList},
		{group: ofKeeping, name: "registry policy show", what: "print the rules", more: settingsHelp, define: policyShow},
		{group: ofKeeping, name: "registry policy check", args: "FILE", what: "say whether a file can be the rules", least: 1, most: 1, takes: []kind{aFile}, more: settingsHelp, define: policyCheck},
		{group: ofKeeping, name: "registry policy set", args: "FILE", what: "put a file in the place of the rules", least: 1, most: 1, takes: []kind{aFile}, more: settingsHelp, define: policySet},
		{group: ofKeeping, name: "registry policy test", what: "say whether somebody may do something, and why", more: testHelp, define: policyTest},
		{group: ofKeeping, name: "registry sessions ls", what: "list the open uploads", more: settingsHelp, define: sessionList},
		{group: ofKeeping, name: "registry sessions cancel", args: "ID...", what: "end uploads", least: 1, most: -1, takes: []kind{nothing}, more: settingsHelp, define: sessionCancel},
		{group: ofKeeping, name: "registry keys ls", what: "list the keys that tokens are signed with", more: settingsHelp, define: keyList},
		{group: ofKeeping, name: "registry keys rotate", what: "sign tokens with a new key", more: settingsHelp, define: keyRotate},
		{group: ofKeeping, name: "registry stats", what: "say how a server is doing", more: settingsHelp, define: stats},
		{group: ofKeeping, name: "registry health", what: "say what is wrong with a server", more: settingsHelp, define: health},
		{group: ofKeeping, name: "registry log-level", args: "[LEVEL]", what: "say what a server logs, or have it log more or less", most: 1, takes: []kind{aLevel}, more: settingsHelp, define: logLevel},
		{group: ofKeeping, name: "registry reload", what: "have a server read users, rules and certificates again", more: settingsHelp, define: reload},
		{group: ofImages, name: "pull", args: "IMAGE", what: "fetch an image from its registry", least: 1, most: 1, resumes: true, takes: []kind{anImage}, define: pull},
		{group: ofImages, name: "push", args: "IMAGE", what: "send an image to its registry", least: 1, most: 1, resumes: true, takes: []kind{anImage}, define: push},
		{group: ofImages, name: "copy", args: "SOURCE TARGET", what: "copy from anywhere to anywhere", least: 2, most: 2, more: placesHelp, resumes: true, takes: []kind{aPlace}, define: copyImage},
		{group: ofImages, name: "tags", args: "REPOSITORY", what: "list the tags in a registry", least: 1, most: 1, takes: []kind{anImage}, define: tags},
		{group: ofImages, name: "images", what: "list the images that are here", define: images},
		{group: ofImages, name: "inspect", args: "IMAGE|PLACE", what: "show what an image is made of", least: 1, most: 1, more: placesHelp, takes: []kind{aPlace}, define: inspect},
		{group: ofImages, name: "rm", args: "IMAGE...", what: "take the names of images away", least: 1, most: -1, takes: []kind{anImage}, define: remove},
		{group: ofImages, name: "prune", what: "free the space of what nobody needs", define: prune},
		{group: ofLayers, name: "layer add", args: "NAME FOLDER|TAR", what: "make a layer, and give it a name", least: 2, most: 2, more: layerHelp, takes: []kind{nothing, aFile}, define: layerAdd},
		{group: ofLayers, name: "layer ls", what: "list the layers", define: layerList},
		{group: ofLayers, name: "layer rm", args: "NAME...", what: "take the names of layers away", least: 1, most: -1, takes: []kind{aLayer}, define: layerRemove},
		{group: ofRunning, name: "run", args: "IMAGE [COMMAND...]", what: "run an image in a container", least: 1, most: -1, foreign: true, takes: []kind{anImage}, more: runHelp, define: runImage},
		{group: ofAccounts, name: "login", args: "HOST", what: "keep a name and password for a registry", least: 1, most: 1, takes: []kind{aHost}, define: login},
		{group: ofAccounts, name: "logout", args: "HOST", what: "forget them", least: 1, most: 1, takes: []kind{aHost}, define: logout},
		{group: ofItself, name: "completion", args: "bash|zsh|fish", what: "print a script that has a shell complete commands", least: 1, most: 1, takes: []kind{aShell}, more: completionHelp, define: completion},
		{group: ofItself, name: "version", what: "say what this was built from", define: version},
	}
}

const settingsHelp = `
A setting is also an environment variable (--log-level is SHIBAFU_LOG_LEVEL) and a field
of the file that --config names; --print-config prints such a file. A flag counts more
than the environment, and that more than the file.
`

const testHelp = `
The answer is the exit code too: 0 for yes, 1 for no.
` + settingsHelp

const runHelp = `
Flags stand before IMAGE; what follows it is the command's. A container is gone when its
command ends, so --rm says what is so anyway. The exit code is that of the command; 125
says that it never ran, 126 that the command cannot be executed, 127 that it was not
found, 128+N that signal N ended it.
`

const layerHelp = `
A tar may be compressed with gzip or zstd; - is one from stdin. shibafu push IMAGE
--layers NAME,NAME puts an image together from layers.
`

const completionHelp = `
bash: source <(shibafu completion bash)     in ~/.bashrc
zsh:  source <(shibafu completion zsh)      in ~/.zshrc, after compinit
fish: shibafu completion fish | source      in ~/.config/fish/config.fish
`

const placesHelp = `
A SOURCE, TARGET or PLACE is one of
  REFERENCE or docker://REFERENCE   an image in a registry
  oci:FOLDER[:NAME]                 an OCI image layout
  docker-archive:FILE[:NAME]        a file of "docker save"; - is stdin or stdout
  oci-archive:FILE[:NAME]           the same file, as others call it
`
