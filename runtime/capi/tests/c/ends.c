/* The end of threads and processes that have nodes: calls in handlers that run when the threads' variables are gone. */
#include "check.h"

static mcapi_endpoint_t here;

static void at_exit(void)
{
    mcapi_uint_t timeout = 1000;
    char byte;
    size_t size;
    CHECK(mcapi_node_id_get(&st) == 1);
    mcapi_endpoint_set_attribute(here, MCAPI_ENDP_ATTR_TIMEOUT, &timeout, sizeof timeout, &st);
    OK;
    mcapi_msg_send(here, here, "x", 1, 0, &st);
    OK;
    mcapi_msg_recv(here, &byte, 1, &size, &st);
    OK;
    /* A call that blocks. */
    mcapi_msg_recv(here, &byte, 1, &size, &st);
    IS(MCAPI_TIMEOUT);
    mcapi_finalize(&st);
    OK;
    mcapi_finalize(&st);
    IS(MCAPI_ERR_NODE_NOTINIT);
}

static void at_thread_exit(void* unused)
{
    (void)unused;
    CHECK(mcapi_node_id_get(&st) == 2);
    mcapi_finalize(&st);
    OK;
}

static void* thread(void* key)
{
    start_node(2);
    CHECK(pthread_setspecific(*(pthread_key_t*)key, key) == 0);
    return NULL;
}

static void* forgets(void* unused)
{
    start_node(3);
    return unused;
}

int main(int argc, char** argv)
{
    pthread_t started;
    const char* how = argc > 1 ? argv[1] : "atexit";
    if (strcmp(how, "atexit") == 0) {
        atexit(at_exit);
        start_node(1);
        here = mcapi_endpoint_create(1, &st);
        OK;
    } else if (strcmp(how, "thread") == 0) {
        pthread_key_t key;
        CHECK(pthread_key_create(&key, at_thread_exit) == 0);
        CHECK(pthread_create(&started, NULL, thread, &key) == 0);
        CHECK(pthread_join(started, NULL) == 0);
        mcapi_node_id_get(&st);
        IS(MCAPI_ERR_NODE_NOTINIT);
    } else {
        /* A process that ends with nodes of living and of ended threads; the next one sweeps. */
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            start_node(1);
            CHECK(pthread_create(&started, NULL, forgets, NULL) == 0);
            CHECK(pthread_join(started, NULL) == 0);
            exit(0);
        }
        int end;
        CHECK(waitpid(child, &end, 0) == child && WIFEXITED(end) && WEXITSTATUS(end) == 0);
        start_node(3);
        end_node();
    }
    return 0;
}
