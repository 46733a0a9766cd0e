package service

// Routes are method and path of every call, for the tests.
func (v *Server) Routes() []string {
	var all []string
	for _, r := range v.routes() {
		all = append(all, r.method+" "+r.path)
	}
	return all
}
