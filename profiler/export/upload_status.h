
/*
 * What `status` says of uploads. Any thread.
 */


#ifndef NPROF_UPLOAD_STATUS_H
#define NPROF_UPLOAD_STATUS_H


#include <stdio.h>

#include "upload_settings.h"


/* Writes a member of a JSON object, after others. */
void upload_status_print(FILE *out, const struct upload_settings *settings);

/* Writes the same as metrics of Prometheus; nothing where nothing is uploaded.
 */
void upload_status_metrics(FILE *out, const struct upload_settings *settings);


#endif /* NPROF_UPLOAD_STATUS_H */
