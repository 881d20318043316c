# The benchmarks: `make bench`, `make bench BENCH=count`, `make bench QUICK=1`.
# Their programs and results are in $(BUILD)/bench.

BENCH ?= count plugins
QUICK ?=

BENCH_PROGRAMS := $(BUILD)/bench/calibration_loop $(BUILD)/bench/sort_driver

bench: bench-programs $(MODULES)/ngx_http_count_module.so plugins
	for b in $(BENCH); do \
	    NGINX=$(NGINX) CC=$(CC) $(PYTHON) -B bench/$$b --build $(BUILD) \
	        $(if $(QUICK),--quick) || exit 1; \
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
