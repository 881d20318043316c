
/*
 * The C side of bench/plugins: times the plug-ins named on the command line
 * as NAME=PATH, and std::sort as `std`, on the rounds that it is asked for,
 * one line each on standard input:
 *
 *     NAME FILE SIZE ARRAYS
 *
 * FILE holds native int64 values, back to back, of which the first ARRAYS
 * arrays of SIZE values are copied and sorted. The reply is one line: the CPU
 * nanoseconds of all sorts together, or `error:` and what was wrong. One
 * thread; keeps the values of one file and a copy of the same size.
 */


#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sort_loader.h"
#include "std_sort.h"


#define MAX_PLUGINS 16
#define MAX_LINE 4096


typedef void (*sort_function_t)(int64_t *values, size_t count);

typedef struct {
    const char     *name;
    sort_function_t sort;
} algorithm_t;

typedef struct {
    char     path[MAX_LINE];
    size_t   count;
    int64_t *values;
    int64_t *scratch; /* of count values too */
} numbers_t;

typedef struct {
    char   name[32];
    char   path[MAX_LINE];
    size_t size;
    size_t arrays;
} round_t;


static algorithm_t algorithms[MAX_PLUGINS + 1] = {{"std", std_sort}};
static size_t      nalgorithms = 1;
static numbers_t   numbers;


static int64_t
thread_cpu_ns(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) != 0) {
        perror("clock_gettime() failed");
        exit(EXIT_FAILURE);
    }

    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}


/* Loads NAME=PATH; the library stays open until the process ends. */
static void
add_plugin(char *argument)
{
    char           error[SORT_LOADER_ERROR];
    char          *path;
    sort_library_t library;

    path = strchr(argument, '=');
    if (path == NULL) {
        fprintf(stderr, "sort_driver: \"%s\" is not NAME=PATH\n", argument);
        exit(EXIT_FAILURE);
    }

    *path++ = '\0';

    if (sort_loader_open(path, &library, error, sizeof(error)) != 0) {
        fprintf(stderr, "sort_driver: %s\n", error);
        exit(EXIT_FAILURE);
    }

    algorithms[nalgorithms].name = argument;
    algorithms[nalgorithms].sort = library.plugin->sort;
    nalgorithms++;
}


static sort_function_t
find_algorithm(const char *name)
{
    size_t i;

    for (i = 0; i < nalgorithms; i++) {
        if (strcmp(algorithms[i].name, name) == 0) {
            return algorithms[i].sort;
        }
    }

    return NULL;
}


/* Reads the whole file into numbers; returns NULL or what was wrong. */
static const char *
read_numbers(FILE *file)
{
    long length;

    if (fseek(file, 0, SEEK_END) != 0 || (length = ftell(file)) < 0) {
        return strerror(errno);
    }

    rewind(file);
    free(numbers.values);
    free(numbers.scratch);

    numbers.path[0] = '\0';
    numbers.count = (size_t) length / sizeof(int64_t);
    numbers.values = malloc((size_t) length + 1);
    numbers.scratch = malloc((size_t) length + 1);

    if (numbers.values == NULL || numbers.scratch == NULL) {
        numbers.count = 0;
        return "out of memory";
    }

    if (fread(numbers.values, sizeof(int64_t), numbers.count, file)
        != numbers.count) {
        return "file was not read as a whole";
    }

    return NULL;
}


/* Makes numbers those of the file; returns NULL or what was wrong. */
static const char *
load_numbers(const char *path)
{
    FILE       *file;
    const char *error;

    if (strcmp(numbers.path, path) == 0) {
        return NULL;
    }

    file = fopen(path, "rb");
    if (file == NULL) {
        return strerror(errno);
    }

    error = read_numbers(file);
    fclose(file);

    if (error == NULL) {
        strcpy(numbers.path, path);
    }

    return error;
}


static bool
is_sorted(const int64_t *values, size_t count)
{
    size_t i;

    for (i = 1; i < count; i++) {
        if (values[i - 1] > values[i]) {
            return false;
        }
    }

    return true;
}


/* Sorts the arrays of a round; returns NULL or what was wrong. */
static const char *
run_round(const round_t *round, int64_t *elapsed_ns)
{
    size_t          i, total;
    int64_t         start;
    const char     *error;
    sort_function_t sort;

    sort = find_algorithm(round->name);
    if (sort == NULL) {
        return "no such algorithm";
    }

    error = load_numbers(round->path);
    if (error != NULL) {
        return error;
    }

    if (round->size == 0 || round->arrays == 0
        || round->arrays > numbers.count / round->size) {
        return "arrays are not in the file";
    }

    total = round->size * round->arrays;
    memcpy(numbers.scratch, numbers.values, total * sizeof(int64_t));

    start = thread_cpu_ns();
    for (i = 0; i < total; i += round->size) {
        sort(numbers.scratch + i, round->size);
    }
    *elapsed_ns = thread_cpu_ns() - start;

    for (i = 0; i < total; i += round->size) {
        if (!is_sorted(numbers.scratch + i, round->size)) {
            return "not sorted";
        }
    }

    return NULL;
}


int
main(int argc, char **argv)
{
    int         i;
    char        line[MAX_LINE];
    int64_t     elapsed_ns;
    round_t     round;
    const char *error;

    if (argc > MAX_PLUGINS + 1) {
        fprintf(stderr, "sort_driver: over %d plug-ins\n", MAX_PLUGINS);
        return EXIT_FAILURE;
    }

    for (i = 1; i < argc; i++) {
        add_plugin(argv[i]);
    }

    while (fgets(line, sizeof(line), stdin) != NULL) {
        if (sscanf(line, "%31s %4095s %zu %zu", round.name, round.path,
                   &round.size, &round.arrays)
            != 4) {
            error = "not a round";
        } else {
            error = run_round(&round, &elapsed_ns);
        }

        if (error != NULL) {
            printf("error: %s\n", error);
        } else {
            printf("%lld\n", (long long) elapsed_ns);
        }

        fflush(stdout);
    }

    return EXIT_SUCCESS;
}
