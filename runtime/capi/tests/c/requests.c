/* Section 4.7: requests; and 4.8, the names of codes. */
#include "check.h"

static mcapi_request_t shared;
static mcapi_endpoint_t here;

static void* waits(void* expected)
{
    size_t size;
    CHECK(mcapi_wait(&shared, &size, LONG, &st) == MCAPI_FALSE);
    CHECK(st == *(mcapi_status_t*)expected);
    return NULL;
}

/* Sends to an endpoint as many bytes as its port says, while another thread does: each wait tells the size of its own. */
static void* sends(void* port)
{
    mcapi_request_t request;
    char bytes[128] = { 0 };
    size_t size;
    mcapi_endpoint_t at = mcapi_endpoint_create(*(mcapi_port_t*)port, &st);
    OK;
    for (int n = 0; n < 20000; n++) {
        mcapi_msg_send_i(at, at, bytes, *(mcapi_port_t*)port, 0, &request, &st);
        OK;
        CHECK(finish(&request) == *(mcapi_port_t*)port);
        mcapi_msg_recv(at, bytes, sizeof bytes, &size, &st);
        OK;
        CHECK(size == *(mcapi_port_t*)port);
    }
    mcapi_endpoint_delete(at, &st);
    OK;
    return NULL;
}

static void two_threads_send(void)
{
    mcapi_port_t ports[] = { 50, 100 };
    pthread_t threads[2];
    for (int n = 0; n < 2; n++)
        CHECK(pthread_create(&threads[n], NULL, sends, &ports[n]) == 0);
    for (int n = 0; n < 2; n++)
        CHECK(pthread_join(threads[n], NULL) == 0);
}

static void names(void)
{
    char text[MCAPI_MAX_STATUS_SIZE];
    CHECK(strcmp(mcapi_display_status(MCAPI_ERR_ENDP_NOTOWNER, text, sizeof text), "MCAPI_ERR_ENDP_NOTOWNER") == 0);
    CHECK(strcmp(mcapi_display_status(0, text, sizeof text), "MCAPI_STATUS_UNKNOWN") == 0);
    CHECK(strcmp(mcapi_display_status(MCAPI_SUCCESS, text, 6), "MCAPI") == 0);
    CHECK(mcapi_display_status(MCAPI_SUCCESS, NULL, 6) == NULL);
    CHECK(mcapi_display_status(MCAPI_SUCCESS, text, 0) == NULL);
    mcapi_set_debug_level(1);
    mcapi_display_state(NULL);
}

int main(int argc, char** argv)
{
    mcapi_request_t request, made_up = 0xdeadbeef, all[MCA_MAX_REQUESTS], *pointers[MCA_MAX_REQUESTS];
    char buffer[8];
    size_t size;
    int n;
    pthread_t thread;
    mcapi_status_t cancelled = MCAPI_ERR_REQUEST_CANCELLED;
    (void)argc, (void)argv;
    names();
    start_node(1);
    here = mcapi_endpoint_create(1, &st);
    OK;
    two_threads_send();

    /* A test that is true may be followed by one wait. */
    mcapi_msg_send_i(here, here, "abc", 3, 0, &request, &st);
    OK;
    CHECK(mcapi_test(&request, &size, &st) == MCAPI_TRUE && size == 3);
    mcapi_test(&request, &size, &st);
    IS(MCAPI_ERR_REQUEST_INVALID);
    size = 0;
    CHECK(mcapi_wait(&request, &size, LONG, &st) == MCAPI_TRUE && size == 3);
    OK;
    mcapi_wait(&request, &size, LONG, &st);
    IS(MCAPI_ERR_REQUEST_INVALID);
    mcapi_cancel(&request, &st);
    IS(MCAPI_ERR_REQUEST_INVALID);
    mcapi_msg_recv(here, buffer, 8, &size, &st);
    OK;
    /* Who tests and never waits does not run out of requests. */
    for (n = 0; n < 3 * MCA_MAX_REQUESTS; n++) {
        mcapi_msg_send_i(here, here, "abc", 3, 0, &request, &st);
        OK;
        while (!mcapi_test(&request, &size, &st))
            IS(MCAPI_PENDING);
        mcapi_msg_recv(here, buffer, 8, &size, &st);
        OK;
    }

    for (n = 0; n < 2; n++) {
        mcapi_request_t* wrong = n ? &made_up : NULL;
        mcapi_status_t expected = n ? MCAPI_ERR_REQUEST_INVALID : MCAPI_ERR_PARAMETER;
        CHECK(mcapi_test(wrong, &size, &st) == MCAPI_FALSE && st == expected);
        CHECK(mcapi_wait(wrong, &size, 0, &st) == MCAPI_FALSE && st == expected);
        mcapi_cancel(wrong, &st);
        CHECK(st == expected);
        CHECK(mcapi_wait_any(1, &wrong, &size, 0, &st) == MCAPI_RETURN_VALUE_INVALID && st == expected);
    }
    mcapi_wait_any(0, pointers, &size, 0, &st);
    IS(MCAPI_ERR_PARAMETER);
    mcapi_wait_any(1, NULL, &size, 0, &st);
    IS(MCAPI_ERR_PARAMETER);

    /* A timeout leaves the request; a cancel wakes who waits. */
    mcapi_msg_recv_i(here, buffer, 8, &shared, &st);
    OK;
    CHECK(mcapi_wait(&shared, &size, 1000, &st) == MCAPI_FALSE);
    IS(MCAPI_TIMEOUT);
    CHECK(mcapi_test(&shared, NULL, &st) == MCAPI_FALSE);
    IS(MCAPI_ERR_PARAMETER);
    CHECK(pthread_create(&thread, NULL, waits, &cancelled) == 0);
    do
        mcapi_wait(&shared, &size, 0, &st);
    while (st == MCAPI_TIMEOUT);
    IS(MCAPI_ERR_WAIT_PENDING);
    mcapi_cancel(&shared, &st);
    OK;
    CHECK(pthread_join(thread, NULL) == 0);

    /* All that there are, answered in the order in which they are done. */
    for (n = 0; n < MCA_MAX_REQUESTS; n++) {
        pointers[n] = &all[n];
        mcapi_endpoint_t port = n % 2 ? here : mcapi_endpoint_create(100 + n, &st);
        mcapi_msg_recv_i(port, buffer, 8, &all[n], &st);
        OK;
    }
    mcapi_msg_recv_i(here, buffer, 8, &request, &st);
    IS(MCAPI_ERR_REQUEST_LIMIT);
    CHECK(mcapi_wait_any(MCA_MAX_REQUESTS, pointers, &size, 1000, &st) == MCAPI_RETURN_VALUE_INVALID);
    IS(MCAPI_TIMEOUT);
    mcapi_cancel(&all[1], &st);
    OK;
    mcapi_endpoint_t to[] = { mcapi_endpoint_get(DOMAIN, 1, 600, LONG, &st), here };
    for (n = 0; n < 2; n++) {
        mcapi_msg_send(here, to[n], "12345", 5, 0, &st);
        OK;
        mcapi_uint_t at = mcapi_wait_any(2, pointers + (n ? 3 : 500), &size, LONG, &st);
        OK;
        CHECK(at == 0 && size == 5);
    }
    end_node();
    return 0;
}
