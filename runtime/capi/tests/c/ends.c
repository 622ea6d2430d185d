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

/* Its sends arrive for many times as long as others need to see that a process has ended. */
static void sends_for_long(void)
{
    mcapi_endpoint_t there, mine;
    int i;
    start_node(5);
    mine = mcapi_endpoint_create(5, &st);
    OK;
    there = mcapi_endpoint_get(DOMAIN, 4, 4, LONG, &st);
    OK;
    for (i = 0; i < 10; i++) {
        usleep(30000);
        mcapi_msg_send(mine, there, "x", 1, 0, &st);
        OK;
    }
    end_node();
}

/* What is left of a process of which `main` has ended. */
static void* outlives(void* main_thread)
{
    pid_t child;
    int end;
    CHECK(pthread_join(*(pthread_t*)main_thread, NULL) == 0);
    start_node(4);
    mcapi_endpoint_create(4, &st);
    OK;
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        sends_for_long();
        _exit(0);
    }
    CHECK(waitpid(child, &end, 0) == child && WIFEXITED(end) && WEXITSTATUS(end) == 0);
    end_node();
    exit(0);
}

int main(int argc, char** argv)
{
    static pthread_t self;
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
    } else if (strcmp(how, "main") == 0) {
        self = pthread_self();
        CHECK(pthread_create(&started, NULL, outlives, &self) == 0);
        pthread_exit(NULL);
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
