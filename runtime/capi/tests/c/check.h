/* What the tests share: each is one program; every node is a thread, or with the argument "processes" a process. */
#ifndef CHECK_H
#define CHECK_H

#include <mca.h>
#include <mca_config.h>
#include <mcapi.h>
#include <mcapi_impl_spec.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define DOMAIN 1u
/* In microseconds: nothing takes so long, so that a test that hangs says where. */
#define LONG 20000000u

#define CHECK(what)                                                             \
    do {                                                                        \
        if (!(what)) {                                                          \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);          \
            _exit(1);                                                           \
        }                                                                       \
    } while (0)

/* The status of the last call of this thread. */
extern __thread mcapi_status_t st;
#define IS(expected)                                                            \
    do {                                                                        \
        if (st != (mcapi_status_t)(expected)) {                                 \
            char got_[MCAPI_MAX_STATUS_SIZE];                                   \
            fprintf(stderr, "%s:%d: %s instead of %s\n", __FILE__, __LINE__,    \
                mcapi_display_status(st, got_, sizeof got_), #expected);        \
            _exit(1);                                                           \
        }                                                                       \
    } while (0)
#define OK IS(MCAPI_SUCCESS)

static inline void start_node(mcapi_node_t node)
{
    mcapi_info_t info;
    mcapi_initialize(DOMAIN, node, NULL, NULL, &info, &st);
    OK;
}

static inline void end_node(void)
{
    mcapi_finalize(&st);
    OK;
}

static inline size_t finish(mcapi_request_t* request)
{
    size_t size = 0;
    mcapi_boolean_t done = mcapi_wait(request, &size, LONG, &st);
    OK;
    CHECK(done == MCAPI_TRUE);
    return size;
}

/* The status with which a request ends. */
static inline mcapi_status_t ends(mcapi_request_t* request)
{
    size_t size = 0;
    CHECK(mcapi_wait(request, &size, LONG, &st) == MCAPI_TRUE);
    return st;
}

static inline mcapi_endpoint_t find(mcapi_node_t node, mcapi_port_t port)
{
    mcapi_endpoint_t found = mcapi_endpoint_get(DOMAIN, node, port, LONG, &st);
    OK;
    return found;
}

typedef void (*body)(void);

/* Runs the bodies side by side. */
void run(const char* how, int number, const body* bodies);

#endif
