// Package policy says who may do what to which repository, by rules in one file.
//
// # The file
//
//	{
//	  "rules": [
//	    {"name": "base images are public", "subjects": ["anonymous", "authenticated"],
//	     "repositories": ["base/**"], "actions": ["pull"]},
//	    {"name": "team a", "subjects": ["group:team-a", "robot:ci-a"],
//	     "repositories": ["team-a/**"], "actions": ["pull", "push", "delete"]},
//	    {"name": "not yet", "effect": "deny", "subjects": ["authenticated"],
//	     "repositories": ["team-a/secret"], "actions": ["pull"]}
//	  ],
//	  "quotas": [
//	    {"name": "team a", "repositories": ["team-a/**"], "bytes": "50GiB", "tags": 1000}
//	  ]
//	}
//
// A rule has at least one subject, repository and action; its effect is "allow"
// unless it is "deny"; its name may be left out. What no rule allows is denied, and
// what a rule denies no other allows. A field that there is not, or is there twice, or
// says what is not in the grammar, is an error that names its line and column.
//
// # Subjects
//
//	anonymous          who has not said who it is
//	authenticated      everybody else
//	user:NAME  robot:NAME  oidc:NAME  certificate:NAME    one, by how it is known
//	group:NAME         whoever is in the group
//	claim:KEY=GLOB     whoever has a claim with such a value; * stands for any text
//
// # Repositories
//
// A pattern is a repository's name in which, within a part between slashes, * stands
// for any text without a slash, also none; and in which one part may be **, which
// stands for one part or more. So "team/*" has "team/a" and not "team/a/b", "team/**"
// has both and not "team", and neither has "teamwork/a". The patterns * and ** alone
// stand for every repository, and for the registry itself.
//
// # Actions
//
//	pull         read blobs, manifests, tags and referrers
//	create-only  push, but leave a tag that exists where it is
//	push         create-only, and move tags
//	delete       delete blobs, manifests and tags
//	catalog      list the registry's repositories, of which those are shown that may be pulled
//	admin        all of these, and the registry's own settings
//
// Nothing else implies anything: most clients look before they push, and need pull
// for that. A rule that denies a right denies what it implies; one that denies
// create-only denies push, which cannot be had without. The catalog, and the admin of
// the registry, are not of one repository: they take a rule for *.
//
// Reading order: policy.go (decisions), glob.go, parse.go (the file), guard.go
// (what stands between the handlers and the store).
package policy
