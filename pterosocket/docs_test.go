package pterosocket_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the README and the pages of docs.
func pages(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("docs", "*.md"))
	must(t, err)
	return append(names, filepath.Join("..", "README.md"))
}

// Every link within the project leads somewhere.
func TestLinks(t *testing.T) {
	code := regexp.MustCompile("(?s)```.*?```|`[^`]*`")
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		must(t, err)
		for _, match := range link.FindAllSubmatch(code.ReplaceAll(text, nil), -1) {
			target := string(match[1])
			if strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
	}
}

// The README is short, and its quick start compiles as it is written.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	must(t, err)
	if n := strings.Count(string(text), "\n"); n > 150 {
		t.Errorf("the README has %d lines, 150 at most", n)
	}
	_, code, _ := strings.Cut(string(text), "```go\n")
	code, _, ok := strings.Cut(code, "```")
	if !ok {
		t.Fatal("there is no quick start")
	}
	file := filepath.Join(t.TempDir(), "main.go")
	must(t, os.WriteFile(file, []byte(code), 0o600))
	if out, err := exec.CommandContext(t.Context(), "go", "vet", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every exported name of the public packages has a comment that begins with it, or stands in a group with one.
func TestExportedNamesAreDocumented(t *testing.T) {
	checked := 0
	for _, dir := range []string{".", "pterotest", "gobwas", "prom"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		must(t, err)
		hasPackage := false
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			must(t, err)
			hasPackage = hasPackage || file.Doc != nil
			for _, decl := range file.Decls {
				checked++
				for _, missing := range undocumented(decl) {
					t.Errorf("%s: %s has no comment that begins with its name", name, missing)
				}
			}
		}
		if !hasPackage {
			t.Errorf("%s: the package has no comment", dir)
		}
	}
	if checked < 100 {
		t.Errorf("only %d declarations were looked at", checked)
	}
}

// ofInterface are methods that an interface documents: Event.Name and those of package errors.
var ofInterface = map[string]bool{"Name": true, "Error": true, "Is": true, "Unwrap": true}

// undocumented returns the exported names in decl that are not documented.
func undocumented(decl ast.Decl) (names []string) {
	begins := func(doc *ast.CommentGroup, name string) bool {
		text := doc.Text()
		for _, article := range []string{"", "A ", "An ", "The "} {
			if strings.HasPrefix(text, article+name+" ") || strings.HasPrefix(text, article+name+"\n") || strings.HasPrefix(text, article+name+"'") {
				return true
			}
		}
		return false
	}
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Name.IsExported() && !ofInterface[decl.Name.Name] && isExportedReceiver(decl.Recv) && !begins(decl.Doc, decl.Name.Name) {
			names = append(names, decl.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				doc := spec.Doc
				if doc == nil {
					doc = decl.Doc
				}
				if spec.Name.IsExported() && !begins(doc, spec.Name.Name) && (doc == nil || !decl.Lparen.IsValid()) {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && spec.Doc == nil && spec.Comment == nil && decl.Doc == nil {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}

func isExportedReceiver(recv *ast.FieldList) bool {
	if recv == nil || len(recv.List) == 0 {
		return true
	}
	typ := recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if index, ok := typ.(*ast.IndexExpr); ok {
		typ = index.X
	}
	name, ok := typ.(*ast.Ident)
	return ok && name.IsExported()
}
