package cli

import (
	"context"
	"flag"
	"fmt"

	"shibafu.dev/step6-client/client"
	"shibafu.dev/step6-client/place"
)

// tagsJSON is the tags of a repository.
type tagsJSON struct {
	Name string   `json:"name"`
	Tags []string `json:"tags"`
}

// tags is "tags": those of a repository, in the registry's order.
func tags(fs *flag.FlagSet) action {
	var access place.Access
	access.Flags(fs)
	asJSON := jsonFlag(fs)
	return func(ctx context.Context, args []string, s Streams) error {
		r, err := access.Registry(args[0])
		if err != nil {
			return about(args[0], err)
		}
		defer r.Close()
		list, _, err := r.Client.Tags(ctx, r.Reference.Name, "", client.All)
		if err != nil {
			return about(args[0], err)
		}
		if *asJSON {
			return printJSON(s.Out, tagsJSON{r.Reference.Host + "/" + r.Reference.Name.String(), list})
		}
		for _, tag := range list {
			if _, err := fmt.Fprintln(s.Out, tag); err != nil {
				return err
			}
		}
		return nil
	}
}
