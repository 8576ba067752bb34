# manual.sh SOURCE OUT: a manual of 200 HTML pages.
#
# A page for each Markdown file in SOURCE, under the same name, and made-up reference pages up to that
# number. `version` comes from the environment and stands on every page. Just enough of Markdown is
# understood that the pages can be read.
set -eu
src=$1
out=$2
pages=200

cd "$src"
mkdir "$out"
find . -type d -exec mkdir -p "$out/{}" \;
mkdir -p "$out/reference"
find . -name '*.md' | cut -c3- | sort > "$TMPDIR/pages"

awk -v out="$out" -v pages="$pages" -v version="$version" '
  function begin(file, title) {
    page = file
    print "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>" title \
      " - Lix " version " Reference Manual</title></head>\n<body>" > page
  }
  function end() {
    print "<footer>Lix " version "</footer>\n</body>\n</html>" > page
    close(page)
    pages--
  }

  # Each line of the input names a Markdown page.
  {
    source = $0
    target = $0
    # The table of contents is where a reader starts.
    sub(/SUMMARY\.md$/, "index.md", target)
    sub(/\.md$/, ".html", target)
    begin(out "/" target, target)
    while ((getline line < source) > 0) {
      if (line ~ /^ *<!--/)
        continue
      gsub(/&/, "\\&amp;", line)
      gsub(/</, "\\&lt;", line)
      while (match(line, /\[[^]]*\]\([^)]*\)/)) {
        link = substr(line, RSTART + 1, RLENGTH - 2)
        text = link
        sub(/\]\(.*/, "", text)
        sub(/.*\]\(/, "", link)
        sub(/\.md$/, ".html", link)
        line = substr(line, 1, RSTART - 1) "<a href=\"" link "\">" text "</a>" substr(line, RSTART + RLENGTH)
      }
      if (match(line, /^#+ /))
        line = "<h" RLENGTH - 1 ">" substr(line, RLENGTH + 1) "</h" RLENGTH - 1 ">"
      else if (sub(/^ *- /, "", line))
        line = "<li>" line
      else if (line == "")
        line = "<p>"
      print line > page
    }
    close(source)
    end()
  }

  END {
    for (i = 1; pages > 0; i++) {
      name = sprintf("page-%03d", i)
      begin(out "/reference/" name ".html", "Reference " i)
      print "<h1>Reference " i "</h1>" > page
      for (j = 1; j <= 100; j++)
        print "<p>" name ", paragraph " j ": the same text in every version of this manual.</p>" > page
      end()
    }
  }
' "$TMPDIR/pages"
