# The benchmarks: `make bench`, `make bench BENCH=count`, `make bench QUICK=1`.
# BENCH=overhead has to be asked for: its 60 minutes a load make hours; so have
# BENCH=export (12 minutes) and BENCH=page, which wants Node.js and Chromium. What
# BENCH_OPTIONS has goes to each. Their programs and results are in $(BUILD)/bench.

BENCH ?= count plugins accuracy heap merge
BENCH_OPTIONS ?=
QUICK ?=

# gperftools is measured where it is installed.
HAVE_GPERFTOOLS := $(wildcard /usr/include/gperftools/profiler.h)

BENCH_PROGRAMS := $(BUILD)/bench/calibration_loop $(BUILD)/bench/sort_driver \
                  $(BUILD)/bench/burst_client $(BUILD)/bench/accuracy_driver \
                  $(BUILD)/bench/malloc_driver $(BUILD)/bench/merge_driver \
                  $(if $(HAVE_GPERFTOOLS),$(BUILD)/bench/gperftools_preload.so)

bench: bench-programs modules plugins
	for b in $(BENCH); do \
	    NGINX=$(NGINX) CC=$(CC) $(PYTHON) -B bench/$$b --build $(BUILD) \
	        $(if $(QUICK),--quick) $(BENCH_OPTIONS) || exit 1; \
	done

bench-programs: $(BENCH_PROGRAMS)
	GO='$(GO)' sh bench/build_go.sh $(BUILD)/bench
.PHONY: bench-programs

$(BUILD)/bench/calibration_loop: $(OBJ)/bench/calibration_loop.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^

$(OBJ)/bench/sort_driver.o: CPPFLAGS += -Ialgorithms

$(BUILD)/bench/sort_driver: $(OBJ)/bench/sort_driver.o \
                            $(OBJ)/bench/std_sort.o \
                            $(OBJ)/algorithms/sort_loader.o
	@mkdir -p $(@D)
	$(CXX) $(SAN_FLAGS) -o $@ $^ -ldl

$(BUILD)/bench/burst_client: $(OBJ)/bench/burst_client.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -lssl -lcrypto

$(BUILD)/bench/gperftools_preload.so: $(OBJ)/bench/gperftools_preload.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -shared -o $@ $^ -lprofiler

$(OBJ)/bench/accuracy_driver.o $(OBJ)/bench/malloc_driver.o: \
    CPPFLAGS += -Iprofiler

$(BUILD)/bench/malloc_driver: $(OBJ)/bench/malloc_driver.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -ldl

$(BUILD)/bench/accuracy_driver: $(OBJ)/bench/accuracy_driver.o
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ -ldl

$(OBJ)/bench/merge_driver.o: CPPFLAGS += -Iprofiler

$(BUILD)/bench/merge_driver: $(OBJ)/bench/merge_driver.o $(BUILD)/libtested.a
	@mkdir -p $(@D)
	$(CC) $(SAN_FLAGS) -o $@ $^ $(NPROF_LIBS) -lpthread
