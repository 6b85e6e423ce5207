package adminhttp

import (
	"net/http"

	"shibafu.dev/step7-security/admin"
)

// Users, Robots and Groups are what lists answer.
type (
	Users struct {
		Users []admin.User `json:"users"`
	}
	Robots struct {
		Robots []admin.Robot `json:"robots"`
	}
	Groups struct {
		Groups []admin.Group `json:"groups"`
	}
)

// Created says what was made.
type Created struct {
	Name string `json:"name"`
}

// NewPassword is what is sent to set one.
type NewPassword struct {
	Password string `json:"password"`
}

// Renewal is what is sent to renew a robot's secret; Expires is as in admin.NewRobot, and
// "" for as long as before.
type Renewal struct {
	Expires string `json:"expires,omitempty"`
}

func (a *api) listUsers(*call) (any, error) {
	all, err := a.Directory.Users()
	return Users{all}, err
}

func (a *api) addUser(c *call) (any, error) {
	var u admin.NewUser
	if err := c.read(&u); err != nil {
		return nil, err
	}
	c.target, c.status = u.Name, http.StatusCreated
	return Created{u.Name}, a.Directory.AddUser(u)
}

func (a *api) setPassword(c *call) (any, error) {
	var p NewPassword
	if err := c.read(&p); err != nil {
		return nil, err
	}
	return nil, a.Directory.SetPassword(c.r.PathValue("name"), p.Password)
}

func (a *api) disableUser(c *call) (any, error) { return a.switchUser(c, true) }
func (a *api) enableUser(c *call) (any, error)  { return a.switchUser(c, false) }

func (a *api) switchUser(c *call, disabled bool) (any, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return nil, a.Directory.DisableUser(c.r.PathValue("name"), disabled)
}

func (a *api) removeUser(c *call) (any, error) {
	return nil, a.Directory.RemoveUser(c.r.PathValue("name"))
}

func (a *api) listRobots(*call) (any, error) {
	all, err := a.Directory.Robots()
	return Robots{all}, err
}

func (a *api) addRobot(c *call) (any, error) {
	var r admin.NewRobot
	if err := c.read(&r); err != nil {
		return nil, err
	}
	c.target, c.status = r.Name, http.StatusCreated
	return a.Directory.AddRobot(r)
}

func (a *api) renewRobot(c *call) (any, error) {
	var r Renewal
	if err := c.read(&r); err != nil {
		return nil, err
	}
	return a.Directory.RenewRobot(c.r.PathValue("name"), r.Expires)
}

func (a *api) disableRobot(c *call) (any, error) { return a.switchRobot(c, true) }
func (a *api) enableRobot(c *call) (any, error)  { return a.switchRobot(c, false) }

func (a *api) switchRobot(c *call, disabled bool) (any, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return nil, a.Directory.DisableRobot(c.r.PathValue("name"), disabled)
}

func (a *api) removeRobot(c *call) (any, error) {
	return nil, a.Directory.RemoveRobot(c.r.PathValue("name"))
}

func (a *api) listGroups(*call) (any, error) {
	all, err := a.Directory.Groups()
	return Groups{all}, err
}

func (a *api) removeGroup(c *call) (any, error) {
	return nil, a.Directory.RemoveGroup(c.r.PathValue("name"))
}

func (a *api) join(c *call) (any, error) {
	if err := c.none(); err != nil {
		return nil, err
	}
	return nil, a.Directory.Join(c.r.PathValue("name"), c.r.PathValue("member"))
}

func (a *api) leave(c *call) (any, error) {
	return nil, a.Directory.Leave(c.r.PathValue("name"), c.r.PathValue("member"))
}
