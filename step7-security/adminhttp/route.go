package adminhttp

import (
	"net/http"
	"slices"
	"strings"

	"shibafu.dev/step1-spec-notes/ocierr"
)

// route is something that can be asked or done.
type route struct {
	method, path string // below Prefix
	// action is what it is called in the audit log.
	action string
	// there is whether the server has what it is about.
	there bool
	do    func(*call) (any, error)
}

// routes are all there are. What they answer is sent as JSON, nil as 204.
func (a *api) routes() []route {
	users, rules := a.Directory != nil, a.Rules != nil
	return []route{
		{"GET", "users", "list users", users, a.listUsers},
		{"POST", "users", "add user", users, a.addUser},
		{"PUT", "users/{name}/password", "set password", users, a.setPassword},
		{"POST", "users/{name}/disable", "disable user", users, a.disableUser},
		{"POST", "users/{name}/enable", "enable user", users, a.enableUser},
		{"DELETE", "users/{name}", "remove user", users, a.removeUser},
		{"GET", "robots", "list robots", users, a.listRobots},
		{"POST", "robots", "add robot", users, a.addRobot},
		{"POST", "robots/{name}/renew", "renew robot", users, a.renewRobot},
		{"POST", "robots/{name}/disable", "disable robot", users, a.disableRobot},
		{"POST", "robots/{name}/enable", "enable robot", users, a.enableRobot},
		{"DELETE", "robots/{name}", "remove robot", users, a.removeRobot},
		{"GET", "groups", "list groups", users, a.listGroups},
		{"DELETE", "groups/{name}", "remove group", users, a.removeGroup},
		{"PUT", "groups/{name}/members/{member}", "join group", users, a.join},
		{"DELETE", "groups/{name}/members/{member}", "leave group", users, a.leave},
		{"GET", "policy", "show policy", rules, a.showRules},
		{"PUT", "policy", "replace policy", rules, a.replaceRules},
		{"POST", "policy/check", "check policy", rules, a.checkRules},
		{"POST", "policy/test", "test policy", rules, a.testRules},
		{"GET", "keys", "list keys", a.Keys != nil, a.listKeys},
		{"POST", "keys", "rotate keys", a.Keys != nil, a.rotateKeys},
		{"GET", "sessions", "list uploads", a.Sessions != nil, a.listSessions},
		{"DELETE", "sessions/{id}", "cancel upload", a.Sessions != nil, a.cancelSession},
		{"GET", "stats", "show statistics", a.Stats != nil, a.showStats},
		{"GET", "log-level", "show log level", a.LogLevel != nil, a.showLevel},
		{"PUT", "log-level", "set log level", a.LogLevel != nil, a.setLevel},
		{"POST", "reload", "reload", len(a.Reload) > 0, a.reload},
		{"GET", "health", "show health", a.Health != nil, a.showHealth},
	}
}

// changes tells whether the route changes something: what is asked by POST, as a question
// has a body, does not.
func (r route) changes() bool {
	return r.method != http.MethodGet && r.action != "check policy" && r.action != "test policy"
}

// route registers what the server has, and what answers for the rest, so that the mux
// itself never does.
func (a *api) route() {
	methods := map[string][]string{}
	for _, r := range a.routes() {
		if !r.there {
			continue
		}
		methods[r.path] = append(methods[r.path], r.method)
		a.mux.HandleFunc(r.method+" "+Prefix+r.path, func(w http.ResponseWriter, req *http.Request) {
			a.serve(&call{w: w, r: req, target: target(req)}, r)
		})
	}
	for path, list := range methods {
		if slices.Contains(list, http.MethodGet) {
			list = append(list, http.MethodHead)
		}
		slices.Sort(list)
		allow := strings.Join(list, ", ")
		a.mux.HandleFunc(Prefix+path, func(w http.ResponseWriter, req *http.Request) {
			a.serve(&call{w: w, r: req}, route{action: "unknown", do: func(*call) (any, error) {
				w.Header().Set("Allow", allow)
				return nil, ocierr.Unsupported
			}})
		})
	}
	a.mux.HandleFunc("/", a.nothing)
}

// nothing answers for a path at which nothing is, to those who may know.
func (a *api) nothing(w http.ResponseWriter, r *http.Request) {
	a.serve(&call{w: w, r: r}, route{action: "unknown", do: func(*call) (any, error) { return nil, errNothing }})
}

// target is what the path says that something is done to.
func target(r *http.Request) string {
	var parts []string
	for _, name := range []string{"name", "member", "id"} {
		if v := r.PathValue(name); v != "" {
			parts = append(parts, v)
		}
	}
	return strings.Join(parts, "/")
}

// ServeHTTP does not let the mux see a path that it would clean, and redirect to.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for part := range strings.SplitSeq(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/") {
		if part == "" || part == "." || part == ".." {
			a.nothing(w, r)
			return
		}
	}
	a.mux.ServeHTTP(w, r)
}
