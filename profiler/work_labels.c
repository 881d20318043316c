
/*
 * The calls for labels that other code makes; see work_labels.h.
 */


#include "sample/label_set.h"
#include "sample/request_scope.h"
#include "sample/thread_label.h"
#include "work_labels.h"


uint32_t
work_label_with(uint32_t set, const char *name, size_t name_len,
                const char *value, size_t value_len, int of_request)
{
    return label_set_with(set, (struct label_text){name, name_len},
                          (struct label_text){value, value_len},
                          of_request != 0);
}


static uint64_t
work_join(struct thread_work work)
{
    return (uint64_t) work.request << 32 | work.set;
}


uint64_t
work_current(void)
{
    struct thread_work work;

    work = thread_label_current();

    if (thread_label_on_main()) {
        work.request = request_scope_current();
    }

    return work_join(work);
}


uint64_t
work_apply(uint64_t work)
{
    uint32_t request = (uint32_t) (work >> 32);

    return work_join(thread_label_apply((struct thread_work){
        (uint32_t) work, request, request_scope_span_of(request)}));
}
