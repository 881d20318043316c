# Builds both nginx modules, libnprof.so and the sort plug-ins against the
# installed nginx-dev; `make help` lists the targets.

BUILD ?= build
SAN ?=

CC ?= gcc
CXX ?= g++
NGINX_SRC ?= /usr/share/nginx/src
NGINX ?= /usr/sbin/nginx
PYTHON ?= /usr/bin/python3
CLANG_FORMAT ?= clang-format-14

WARN := -Wall -Wextra -Wshadow -Werror
WARN_C := -Wstrict-prototypes -Wmissing-prototypes
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer)
OPT := -O2 -g
CPPFLAGS += -D_GNU_SOURCE -I$(BUILD)/include
COMMON := $(OPT) $(WARN) -fPIC -fvisibility=hidden -fstack-protector-strong \
          $(SAN_FLAGS) -MMD -MP
CFLAGS_ALL := -std=c11 $(WARN_C) $(COMMON) $(CFLAGS)
CXXFLAGS_ALL := -std=c++17 -fno-gnu-unique $(COMMON) $(CXXFLAGS)
LDFLAGS_SO := -shared -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,--build-id \
              $(SAN_FLAGS)
# gcc's sanitizer run-time is resolved in the process that preloads it.
LDFLAGS_SO := $(if $(SAN),$(filter-out -Wl$(comma)-z$(comma)defs,$(LDFLAGS_SO)),$(LDFLAGS_SO))

MODULES := $(BUILD)/modules
ALGORITHMS := $(BUILD)/algorithms
OBJ := $(BUILD)/obj
NGX := $(BUILD)/nginx

# What needs a library that this machine may lack.
HAVE_HWY := $(shell printf '\#include <hwy/contrib/sort/vqsort.h>\n' | \
              $(CXX) -std=c++17 -E -x c++ - >/dev/null 2>&1 && echo yes)

PLUGINS := $(ALGORITHMS)/libsort_v1.so $(ALGORITHMS)/libsort_v2.so \
           $(if $(HAVE_HWY),$(ALGORITHMS)/libsort_v3.so)

all: modules plugins
.PHONY: all modules plugins install deb manifests test test-long test-asan \
        test-tsan bench format lint clean help
.DELETE_ON_ERROR:
.PRECIOUS: $(BUILD)/obj/%.o

help:
	@echo 'make              the modules, libnprof.so and the plug-ins'
	@echo 'make install      all of it, below PREFIX and DESTDIR'
	@echo 'make deb          a package for this Debian, in $(BUILD)/deb'
	@echo 'make manifests    render k8s/, into k8s/rendered'
	@echo 'make test         unit and integration tests, the short tier'
	@echo 'make test-long    all tests with the full numbers'
	@echo 'make test-asan    what runs under AddressSanitizer and UBSan'
	@echo 'make test-tsan    what runs under ThreadSanitizer'
	@echo 'make fuzz         the fuzz targets, FUZZ_SECONDS each (clang-14)'
	@echo 'make fuzz-short   the same, FUZZ_RUNS runs each'
	@echo 'make web          the page of <endpoint>/ui alone'
	@echo 'make bench        the benchmarks'
	@echo 'make format       format all C and C++ sources'
	@echo 'make lint         what CI checks of the sources'
	@echo 'make clean        remove $(BUILD)/'

modules: $(MODULES)/ngx_http_count_module.so $(MODULES)/ngx_profiler_module.so \
         $(MODULES)/libnprof.so
plugins: $(PLUGINS)
ifeq ($(HAVE_HWY),)
	@echo 'NOTE: libhwy-dev is missing: libsort_v3.so is not built' >&2
endif


# libnprof.so: every folder of profiler/ but the glue

STAGES := sample unwind heap aggregate symbolize encode instance export trace
PROTO := profiler/encode/profile.proto
NPROF_SRC := $(wildcard profiler/*.c) \
             $(foreach s,$(STAGES),$(wildcard profiler/$(s)/*.c))
NPROF_HDR := $(wildcard profiler/*.h) \
             $(foreach s,$(STAGES),$(wildcard profiler/$(s)/*.h))
NPROF_OBJ := $(NPROF_SRC:%.c=$(OBJ)/%.o) $(OBJ)/gen/profile.pb-c.o
NPROF_LIBS := -lunwind-x86_64 -lprotobuf-c -ldw -lelf -lz -liberty -lm \
              -lcurl -ljansson -luuid -lmsgpackc

$(MODULES)/libnprof.so: $(NPROF_OBJ) profiler/nprof.map
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_SO) -Wl,-z,nodelete -Wl,-soname,libnprof.so \
	    -Wl,--version-script=profiler/nprof.map -o $@.tmp $(NPROF_OBJ) \
	    $(NPROF_LIBS) -lpthread
	profiler/check_symbols.sh $@.tmp $(OBJ)/profiler
	mv $@.tmp $@

BUILD_ID_H := $(BUILD)/include/nprof_build_id.h

$(NPROF_OBJ): | $(BUILD)/gen/profile.pb-c.h $(BUILD_ID_H)
$(OBJ)/profiler/%.o: CPPFLAGS += -I$(BUILD)/gen

# Of the glue's sources, too: what upstream's build makes of them has this id.
$(BUILD_ID_H): profiler/build_id.sh $(NPROF_SRC) $(NPROF_HDR) $(PROTO) \
               $(wildcard profiler/nginx/*.[ch])
	@mkdir -p $(@D)
	sh profiler/build_id.sh $@

$(BUILD)/gen/profile.pb-c.c $(BUILD)/gen/profile.pb-c.h &: $(PROTO)
	@mkdir -p $(BUILD)/gen
	protoc-c --proto_path=$(dir $(PROTO)) --c_out=$(BUILD)/gen $(notdir $(PROTO))

# The generated code names no prototype for what it defines once.
$(OBJ)/gen/profile.pb-c.o: $(BUILD)/gen/profile.pb-c.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=c11 $(COMMON) $(CFLAGS) -c -o $@ $<


include web/web.mk


# Both nginx modules, by nginx's own build

NGX_CC_OPT := $(shell $(NGINX) -V 2>&1 | \
                sed -n "s/.*--with-cc-opt='\([^']*\)'.*/\1/p")
NGX_LD_OPT := $(shell $(NGINX) -V 2>&1 | \
                sed -n "s/.*--with-ld-opt='\([^']*\)'.*/\1/p")
GLUE_SRC := ngx_http_count_module.c config $(wildcard count/*.[ch]) \
            $(wildcard algorithms/*.[ch]) $(wildcard profiler/nginx/*) \
            profiler/nprof.h

# The names of the sources: nginx is configured anew when one comes or goes.
GLUE_NAMES := $(BUILD)/.glue-names
$(shell mkdir -p $(BUILD); echo '$(sort $(GLUE_SRC))' | \
    cmp -s - $(GLUE_NAMES) || echo '$(sort $(GLUE_SRC))' > $(GLUE_NAMES))

$(NGX)/objs/Makefile: config $(NGINX_SRC)/conf_flags Makefile $(GLUE_NAMES)
	rm -rf $(NGX)
	mkdir -p $(BUILD)
	cp -r $(NGINX_SRC) $(NGX)
	cd $(NGX) && bash -c '. ./conf_flags && ./configure \
	    "$${NGX_CONF_FLAGS[@]}" \
	    --with-cc-opt="$(NGX_CC_OPT) $(SAN_FLAGS)" \
	    --with-ld-opt="$(NGX_LD_OPT) $(SAN_FLAGS)" \
	    --add-dynamic-module=$(CURDIR)' > $(CURDIR)/$(BUILD)/configure.log \
	    || { tail -n 40 $(CURDIR)/$(BUILD)/configure.log >&2; exit 1; }

$(BUILD)/.glue: $(NGX)/objs/Makefile $(GLUE_SRC) $(BUILD_ID_H) $(PAGE_H)
	for h in $(BUILD_ID_H) $(PAGE_H); do \
	    cmp -s $$h $(NGX)/objs/$${h##*/} || cp $$h $(NGX)/objs/ || exit 1; \
	done
	$(MAKE) --no-print-directory -C $(NGX) -f objs/Makefile modules
	@mkdir -p $(MODULES)
	for m in ngx_http_count_module ngx_profiler_module; do \
	    cmp -s $(NGX)/objs/$$m.so $(MODULES)/$$m.so \
	        || { cp $(NGX)/objs/$$m.so $(MODULES)/$$m.so.tmp && \
	             mv $(MODULES)/$$m.so.tmp $(MODULES)/$$m.so; } || exit 1; \
	done
	touch $@

$(MODULES)/ngx_http_count_module.so $(MODULES)/ngx_profiler_module.so: $(BUILD)/.glue
	@test -f $@


# The plug-ins: one folder each, linked from all of its sources

V1_OBJ := $(OBJ)/algorithms/bubble/bubble_plugin.o
V2_OBJ := $(OBJ)/algorithms/qsort/qsort_plugin.o
V3_OBJ := $(OBJ)/algorithms/vqsort/vqsort_plugin.o

$(ALGORITHMS)/libsort_v1.so: $(V1_OBJ)
$(ALGORITHMS)/libsort_v2.so: $(V2_OBJ)
$(ALGORITHMS)/libsort_v3.so: $(V3_OBJ)
$(ALGORITHMS)/libsort_v3.so: PLUGIN_LIBS := -lhwy_contrib -lhwy -lstdc++

$(ALGORITHMS)/%.so: algorithms/plugin.map
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_SO) -Wl,--version-script=algorithms/plugin.map \
	    -o $@.tmp $(filter %.o,$^) $(PLUGIN_LIBS)
	mv $@.tmp $@

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS_ALL) -c -o $@ $<

$(OBJ)/%.o: %.cc
	@mkdir -p $(@D)
	$(CXX) $(CPPFLAGS) $(CXXFLAGS_ALL) -c -o $@ $<


# Installation. Modules go where the installed nginx looks for them, unless
# MODULES_DIR says otherwise.

PREFIX ?= /usr/local
MODULES_DIR ?= $(or $(shell $(NGINX) -V 2>&1 | \
                 sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p'),\
                 $(PREFIX)/lib/nginx/modules)
PLUGINS_DIR ?= $(PREFIX)/lib/nginx/count-plugins
INCLUDE_DIR ?= $(PREFIX)/include/nginx-count-profiler

install: all
	install -d $(DESTDIR)$(MODULES_DIR) $(DESTDIR)$(PLUGINS_DIR) \
	    $(DESTDIR)$(INCLUDE_DIR)
	install -m 644 $(MODULES)/ngx_http_count_module.so \
	    $(MODULES)/ngx_profiler_module.so $(MODULES)/libnprof.so \
	    $(DESTDIR)$(MODULES_DIR)
	install -m 644 $(PLUGINS) $(DESTDIR)$(PLUGINS_DIR)
	install -m 644 algorithms/sort_plugin.h \
	    profiler/nginx/ngx_profiler_label.h $(DESTDIR)$(INCLUDE_DIR)


# The Debian package. dpkg-buildpackage writes beside the folder that it builds
# in, so it gets a copy of what the package is made of.

DEB := $(BUILD)/deb
DEB_SRC := Makefile config README.md CHANGES.md ngx_http_count_module.c \
           algorithms bench count debian docs profiler web

deb:
	rm -rf $(DEB)
	mkdir -p $(DEB)/source
	cp -rp $(DEB_SRC) $(DEB)/source
	rm -rf $(DEB)/source/web/node_modules
	if [ -e $(PAGE)/page.html.gz ]; then \
	    mkdir -p $(DEB)/source/build && cp -rp $(PAGE) $(DEB)/source/build; \
	fi
	cd $(DEB)/source && dpkg-buildpackage -b -us -uc \
	    > ../build.log 2>&1 || { tail -n 40 ../build.log >&2; exit 1; }
	@grep -h '^NOTE: ' $(DEB)/build.log | sort -u >&2 || true
	@if [ -e $(PAGE)/page.html.gz ] && \
	    grep -q '^NOTE: no page' $(DEB)/build.log; then \
	    echo 'make deb: the package has lost the page of $(PAGE)' >&2; exit 1; \
	fi
	rm -rf $(DEB)/source
	@ls $(DEB)/*.deb


# The manifests as one file each, for `kubectl apply -f`

RENDERED := load v1-v2 v1-v2-socket ab reload
KUSTOMIZE ?= kubectl kustomize

manifests:
	mkdir -p k8s/rendered
	for m in $(RENDERED); do \
	    d=k8s/overlays/$$m; test -d $$d || d=k8s/$$m; \
	    $(KUSTOMIZE) $$d > k8s/rendered/$$m.yaml || exit 1; \
	done


# Unit tests: a Criterion program per file, linked with all that is free of
# nginx

UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/*_test.c))
TESTED_OBJ := $(NPROF_OBJ) \
              $(patsubst %.c,$(OBJ)/%.o,$(filter-out count/ngx_%, \
                  $(wildcard count/*.c) $(wildcard algorithms/*.c)) \
                  profiler/nginx/profile_query.c)

unit: $(UNIT) stress
.PHONY: unit

$(BUILD)/libtested.a: $(TESTED_OBJ)
	rm -f $@
	$(AR) rcs $@ $^

$(OBJ)/tests/unit/%.o: CPPFLAGS += -Iprofiler -I$(BUILD)/gen -I. -Ialgorithms
$(OBJ)/profiler/nginx/%.o: CPPFLAGS += -Iprofiler
$(OBJ)/count/%.o: CPPFLAGS += -Ialgorithms
# Criterion's macros declare what -Wmissing-prototypes would want declared.
$(OBJ)/tests/unit/%.o: WARN_C := -Wstrict-prototypes
# It unwinds a frame that cleans up after exceptions.
$(OBJ)/tests/unit/stack_unwind_test.o: CFLAGS_ALL += -fexceptions

$(BUILD)/unit/%: $(OBJ)/tests/unit/%.o $(BUILD)/libtested.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -rdynamic -o $@ $< $(BUILD)/libtested.a $(NPROF_LIBS) \
	    -lcriterion -lpthread -ldl -lm


# Stress: programs that know libnprof by its descriptor only

STRESS := $(patsubst tests/stress/%.c,$(BUILD)/stress/%,$(wildcard tests/stress/*.c))

stress: $(STRESS)
.PHONY: stress

$(OBJ)/tests/stress/%.o: CPPFLAGS += -Iprofiler

$(BUILD)/stress/%: $(OBJ)/tests/stress/%.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -rdynamic -o $@ $< -lpthread -ldl


# The uploader's driver: made of all that is free of nginx

UPLOAD_DRIVER := $(BUILD)/upload/upload_driver

unit: $(UPLOAD_DRIVER)

$(OBJ)/tests/upload/%.o: CPPFLAGS += -Iprofiler -I$(BUILD)/gen

$(UPLOAD_DRIVER): $(OBJ)/tests/upload/upload_driver.o $(BUILD)/libtested.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -rdynamic -o $@ $< $(BUILD)/libtested.a $(NPROF_LIBS) \
	    -lpthread -ldl


# Unit tests for ThreadSanitizer: those with threads of their own. Signals it
# delivers late, so what waits for samples can't run; the others have no threads.

TSAN_UNIT := $(patsubst %,$(BUILD)/tsan-unit/%_test,heap_ring job_queue \
                 label_set live_set sample_ring value_shelf)

tsan-unit: $(TSAN_UNIT)
.PHONY: tsan-unit

$(OBJ)/tsan-unit/%.o: tests/unit/%.c tests/tsan/criterion/criterion.h
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -Itests/tsan -Iprofiler -I$(BUILD)/gen -I. \
	    $(CFLAGS_ALL) -Wno-sign-compare -c -o $@ $<

$(BUILD)/tsan-unit/%: $(OBJ)/tsan-unit/%.o $(BUILD)/libtested.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $< $(BUILD)/libtested.a $(NPROF_LIBS) \
	    -lpthread -ldl -lm


# Fuzz targets: libFuzzer, so clang; `make fuzz FUZZ_SECONDS=600` runs each.
# `make fuzz-short` is of test.sh: each replays its corpus (tests/fuzz/corpus),
# and goes on from there for so many runs, the same ones each time.

FUZZ_CC ?= clang-14
FUZZ_SECONDS ?= 30
FUZZ_RUNS ?= 20000
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*_fuzz.c))

$(BUILD)/fuzz/number_parse_fuzz: count/number_parse.c count/number_parse.h \
                               count/digit_words.h
$(BUILD)/fuzz/stack_unwind_fuzz: $(wildcard profiler/unwind/*.[ch]) \
                               profiler/sample/sample_record.h
$(BUILD)/fuzz/stack_unwind_fuzz: FUZZ_LIBS := -lunwind-x86_64

$(BUILD)/fuzz/stack_parcel_fuzz: \
    $(addprefix profiler/instance/,parcel_reader.c stack_merge.c window_base.c \
        module_registry.c) profiler/sample/label_set.c \
    $(addprefix profiler/symbolize/,block_arena.c id_table.c string_pool.c) \
    profiler/unwind/module_file.c profiler/unwind/build_id_notes.c

$(BUILD)/fuzz/profile_query_fuzz: profiler/nginx/profile_query.c \
                                profiler/nginx/profile_query.h profiler/nprof.h

$(BUILD)/fuzz/store_file_fuzz: $(wildcard profiler/encode/gzip_unpack.[ch])
$(BUILD)/fuzz/store_file_fuzz: FUZZ_LIBS := -lz

$(BUILD)/fuzz/%: tests/fuzz/%.c
	@mkdir -p $(@D)
	$(FUZZ_CC) -std=c11 $(WARN) $(WARN_C) -g -O1 -D_GNU_SOURCE -I. -Iprofiler \
	    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
	    -o $@ $(filter %.c,$^) $(FUZZ_LIBS)

fuzz: $(FUZZERS:%=$(BUILD)/fuzz/%)
	@for f in $(FUZZERS); do \
	    mkdir -p $(BUILD)/fuzz/corpus/$$f && \
	    $(BUILD)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -max_len=4096 \
	        -artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus/$$f \
	        tests/fuzz/corpus/$$f || exit 1; \
	done

fuzz-short: $(FUZZERS:%=$(BUILD)/fuzz/%)
	@for f in $(FUZZERS); do \
	    rm -rf $(BUILD)/fuzz/short/$$f && mkdir -p $(BUILD)/fuzz/short/$$f && \
	    $(BUILD)/fuzz/$$f -runs=$(FUZZ_RUNS) -seed=1 -max_len=4096 \
	        -verbosity=0 -artifact_prefix=$(BUILD)/fuzz/ \
	        $(BUILD)/fuzz/short/$$f tests/fuzz/corpus/$$f || exit 1; \
	    echo "$$f: $(FUZZ_RUNS) runs"; \
	done
.PHONY: fuzz fuzz-short

test:
	./test.sh

test-long:
	./test.sh --long

# Each builds its own tree: a sanitizer wants all code to be of it.
test-asan:
	$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SAN=address,undefined \
	    all unit
	tests/sanitize.sh address $(BUILD)/asan

test-tsan:
	$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan SAN=thread \
	    $(BUILD)/tsan/modules/libnprof.so \
	    $(BUILD)/tsan/algorithms/libsort_v1.so stress tsan-unit
	tests/sanitize.sh thread $(BUILD)/tsan

include bench/bench.mk

# All C and C++ sources that git knows, and the shell scripts
C_SOURCES = $(shell git ls-files '*.c' '*.h' '*.cc')
SHELL_SOURCES = $(shell git ls-files '*.sh') .ci/run

format:
	@$(CLANG_FORMAT) -i $(C_SOURCES)

lint:
	@$(CLANG_FORMAT) --dry-run -Werror $(C_SOURCES)
	@shellcheck $(SHELL_SOURCES)

clean:
	rm -rf $(BUILD)

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
