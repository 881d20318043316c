# The page of <endpoint>/ui: one HTML file, by npm from TypeScript. `make web`
# builds it, and so does what embeds it. Where Node.js or the packages can't be
# had, make goes on without the page, or with the one that there was, and says so
# each time.

PAGE := $(BUILD)/web
PAGE_H := $(BUILD)/include/nprof_page.h
PAGE_SRC := $(wildcard web/src/* web/src/*/*) web/build_page.mjs \
            web/make_page.sh web/package-lock.json

web: $(PAGE)/.built
.PHONY: web

PAGE_IS_NEW := $(and $(wildcard $(PAGE)/page.html.gz), \
               $(if $(wildcard $(PAGE)/page.stale),,yes))

$(PAGE)/.built: $(PAGE_SRC) $(if $(PAGE_IS_NEW),,web-again)
	bash web/make_page.sh $(PAGE) $(PAGE_H)
	touch $@

# A page that could not be built, or not anew, is tried again.
web-again:
.PHONY: web-again

# The page may be older than this folder: that of a package comes with it.
$(PAGE_H): $(PAGE)/.built
	@test -f $@ || bash web/make_page.sh -n $(PAGE) $@
