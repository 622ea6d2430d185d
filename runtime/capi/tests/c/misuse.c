/* What a program must not do: every pointer NULL, handles of others and of nobody, twice what may be done once, from many
 * threads at once. Each has its status, and the node goes on. */
#include "check.h"

#define MADE_UP 0xdeadbeefu
#define EXPECT(expected, call) do { call; IS(expected); } while (0)

static void set(mcapi_endpoint_t endpoint, mcapi_uint_t number, mcapi_uint_t value)
{
    mcapi_endpoint_set_attribute(endpoint, number, &value, sizeof value, &st);
    OK;
}

static void no_pointers(mcapi_endpoint_t here)
{
    mcapi_request_t request = 0;
    uint32_t handle = 0;
    size_t size;
    char byte = 0;
    mcapi_request_t* none[] = { NULL };
#define NULLED(call) EXPECT(MCAPI_ERR_PARAMETER, call)
    NULLED(mcapi_node_init_attributes(NULL, &st));
    NULLED(mcapi_node_set_attribute(NULL, 0, &handle, 4, &st));
    NULLED(mcapi_node_get_attribute(DOMAIN, mcapi_node_id_get(&st), 0, NULL, 4, &st));
    NULLED(mcapi_endpoint_get_i(DOMAIN, 1, 1, NULL, &request, &st));
    NULLED(mcapi_endpoint_get_i(DOMAIN, 1, 1, &handle, NULL, &st));
    NULLED(mcapi_endpoint_get_attribute(here, 0, NULL, 4, &st));
    NULLED(mcapi_endpoint_set_attribute(here, 7, NULL, 4, &st));
    NULLED(mcapi_msg_send_i(here, here, NULL, 1, 0, &request, &st));
    NULLED(mcapi_msg_send_i(here, here, &byte, 1, 0, NULL, &st));
    NULLED(mcapi_msg_send(here, here, NULL, 1, 0, &st));
    NULLED(mcapi_msg_recv_i(here, NULL, 1, &request, &st));
    NULLED(mcapi_msg_recv_i(here, &byte, 1, NULL, &st));
    NULLED(mcapi_msg_recv(here, NULL, 1, &size, &st));
    NULLED(mcapi_msg_recv(here, &byte, 1, NULL, &st));
    NULLED(mcapi_pktchan_connect_i(here, here, NULL, &st));
    NULLED(mcapi_pktchan_recv_open_i(NULL, here, &request, &st));
    NULLED(mcapi_pktchan_recv_open_i(&handle, here, NULL, &st));
    NULLED(mcapi_pktchan_send_open_i(NULL, here, &request, &st));
    NULLED(mcapi_pktchan_send_open_i(&handle, here, NULL, &st));
    NULLED(mcapi_sclchan_connect_i(here, here, NULL, &st));
    NULLED(mcapi_sclchan_recv_open_i(NULL, here, &request, &st));
    NULLED(mcapi_sclchan_recv_open_i(&handle, here, NULL, &st));
    NULLED(mcapi_sclchan_send_open_i(NULL, here, &request, &st));
    NULLED(mcapi_sclchan_send_open_i(&handle, here, NULL, &st));
    NULLED(mcapi_pktchan_recv_close_i(MADE_UP, NULL, &st));
    NULLED(mcapi_pktchan_send_close_i(MADE_UP, NULL, &st));
    NULLED(mcapi_sclchan_recv_close_i(MADE_UP, NULL, &st));
    NULLED(mcapi_sclchan_send_close_i(MADE_UP, NULL, &st));
    NULLED(mcapi_pktchan_release_test(NULL, &st));
    EXPECT(MCAPI_ERR_BUF_INVALID, mcapi_pktchan_release(NULL, &st));
    NULLED(mcapi_test(NULL, &size, &st));
    NULLED(mcapi_wait(NULL, &size, 0, &st));
    NULLED(mcapi_cancel(NULL, &st));
    NULLED(mcapi_wait_any(1, NULL, &size, 0, &st));
    NULLED(mcapi_wait_any(1, none, &size, 0, &st));
    NULLED(mcapi_wait_any((size_t)-1, none, &size, 0, &st));
    /* Nothing of all that was begun. */
    CHECK(mcapi_msg_available(here, &st) == 0);
    OK;
}

static void nobodys_handles(mcapi_endpoint_t here)
{
    const uint32_t made_up[] = { 0, 1, 7, MADE_UP, 0x7fffffff, 0x80000000, 0xffffffff };
    mcapi_request_t request, wrong;
    uint32_t handle = 0;
    size_t size, n;
    char byte = 0;
    void* packet;
    for (n = 0; n < sizeof made_up / sizeof *made_up; n++) {
        uint32_t no = made_up[n];
        mcapi_request_t* any[] = { &wrong };
        wrong = no;
#define NO_ENDPOINT(call) EXPECT(MCAPI_ERR_ENDP_INVALID, call)
        NO_ENDPOINT(mcapi_endpoint_delete(no, &st));
        NO_ENDPOINT(mcapi_endpoint_release(no, &st));
        NO_ENDPOINT(mcapi_endpoint_get_attribute(no, 0, &handle, 4, &st));
        NO_ENDPOINT(mcapi_endpoint_set_attribute(no, 7, &handle, 4, &st));
        NO_ENDPOINT(mcapi_msg_send_i(no, here, &byte, 1, 0, &request, &st));
        NO_ENDPOINT(mcapi_msg_send_i(here, no, &byte, 1, 0, &request, &st));
        NO_ENDPOINT(mcapi_msg_send(no, here, &byte, 1, 0, &st));
        NO_ENDPOINT(mcapi_msg_send(here, no, &byte, 1, 0, &st));
        NO_ENDPOINT(mcapi_msg_recv_i(no, &byte, 1, &request, &st));
        NO_ENDPOINT(mcapi_msg_recv(no, &byte, 1, &size, &st));
        NO_ENDPOINT(mcapi_msg_available(no, &st));
        NO_ENDPOINT(mcapi_pktchan_connect_i(no, here, &request, &st));
        NO_ENDPOINT(mcapi_pktchan_connect_i(here, no, &request, &st));
        NO_ENDPOINT(mcapi_sclchan_connect_i(no, here, &request, &st));
        NO_ENDPOINT(mcapi_sclchan_connect_i(here, no, &request, &st));
        NO_ENDPOINT(mcapi_pktchan_send_open_i(&handle, no, &request, &st));
        NO_ENDPOINT(mcapi_pktchan_recv_open_i(&handle, no, &request, &st));
        NO_ENDPOINT(mcapi_sclchan_send_open_i(&handle, no, &request, &st));
        NO_ENDPOINT(mcapi_sclchan_recv_open_i(&handle, no, &request, &st));
#define NO_CHANNEL(call) EXPECT(MCAPI_ERR_CHAN_INVALID, call)
        NO_CHANNEL(mcapi_pktchan_send_i(no, &byte, 1, &request, &st));
        NO_CHANNEL(mcapi_pktchan_send(no, &byte, 1, &st));
        NO_CHANNEL(mcapi_pktchan_recv_i(no, &packet, &request, &st));
        NO_CHANNEL(mcapi_pktchan_recv(no, &packet, &size, &st));
        NO_CHANNEL(mcapi_pktchan_available(no, &st));
        NO_CHANNEL(mcapi_pktchan_recv_close_i(no, &request, &st));
        NO_CHANNEL(mcapi_pktchan_send_close_i(no, &request, &st));
        NO_CHANNEL(mcapi_sclchan_send_uint64(no, 1, &st));
        NO_CHANNEL(mcapi_sclchan_recv_uint8(no, &st));
        NO_CHANNEL(mcapi_sclchan_available(no, &st));
        NO_CHANNEL(mcapi_sclchan_recv_close_i(no, &request, &st));
        NO_CHANNEL(mcapi_sclchan_send_close_i(no, &request, &st));
#define NO_REQUEST(call) EXPECT(MCAPI_ERR_REQUEST_INVALID, call)
        NO_REQUEST(mcapi_test(&wrong, &size, &st));
        NO_REQUEST(mcapi_wait(&wrong, &size, 0, &st));
        NO_REQUEST(mcapi_wait_any(1, any, &size, 0, &st));
        NO_REQUEST(mcapi_cancel(&wrong, &st));
        CHECK(wrong == no);
        EXPECT(MCAPI_ERR_BUF_INVALID, mcapi_pktchan_release((void*)(uintptr_t)no, &st));
    }
    /* Sizes that no memory has are refused before they are looked at. */
    EXPECT(MCAPI_ERR_MSG_SIZE, mcapi_msg_send(here, here, &byte, (size_t)-1, 0, &st));
    EXPECT(MCAPI_ERR_PRIORITY, mcapi_msg_send(here, here, &byte, 1, 0xffffffff, &st));
}

/* What one node has and another node's program hands in. */
static struct {
    mcapi_endpoint_t endpoint;
    mcapi_pktchan_send_hndl_t tx;
    mcapi_pktchan_recv_hndl_t rx;
    mcapi_request_t request;
    void* packet;
} of_one;

static void make_what_is_anothers(mcapi_endpoint_t here)
{
    mcapi_request_t opens[2];
    size_t size;
    static char byte;
    mcapi_endpoint_t to = mcapi_endpoint_create(21, &st);
    OK;
    mcapi_pktchan_connect_i(here, to, &opens[0], &st);
    OK;
    finish(&opens[0]);
    mcapi_pktchan_send_open_i(&of_one.tx, here, &opens[0], &st);
    OK;
    mcapi_pktchan_recv_open_i(&of_one.rx, to, &opens[1], &st);
    OK;
    finish(&opens[0]);
    finish(&opens[1]);
    mcapi_pktchan_send(of_one.tx, "packet", 7, &st);
    OK;
    mcapi_pktchan_recv(of_one.rx, &of_one.packet, &size, &st);
    OK;
    of_one.endpoint = mcapi_endpoint_create(22, &st);
    OK;
    mcapi_msg_recv_i(of_one.endpoint, &byte, 1, &of_one.request, &st);
    OK;
}

static void others_handles(void)
{
    mcapi_request_t request;
    size_t size;
    char byte = 0;
    void* packet;
    uint32_t handle;
    NO_ENDPOINT(mcapi_msg_recv(of_one.endpoint, &byte, 1, &size, &st));
    NO_ENDPOINT(mcapi_pktchan_recv_open_i(&handle, of_one.endpoint, &request, &st));
    NO_ENDPOINT(mcapi_msg_available(of_one.endpoint, &st));
    EXPECT(MCAPI_ERR_ENDP_NOTOWNER, mcapi_endpoint_delete(of_one.endpoint, &st));
    mcapi_uint_t value = 1;
    EXPECT(MCAPI_ERR_ENDP_REMOTE, mcapi_endpoint_set_attribute(of_one.endpoint, 7, &value, 4, &st));
    NO_CHANNEL(mcapi_pktchan_send(of_one.tx, &byte, 1, &st));
    NO_CHANNEL(mcapi_pktchan_recv(of_one.rx, &packet, &size, &st));
    NO_CHANNEL(mcapi_pktchan_send_close_i(of_one.tx, &request, &st));
    NO_CHANNEL(mcapi_pktchan_recv_close_i(of_one.rx, &request, &st));
    NO_REQUEST(mcapi_test(&of_one.request, &size, &st));
    NO_REQUEST(mcapi_wait(&of_one.request, &size, 0, &st));
    NO_REQUEST(mcapi_cancel(&of_one.request, &st));
    EXPECT(MCAPI_ERR_BUF_INVALID, mcapi_pktchan_release(of_one.packet, &st));
    EXPECT(MCAPI_ERR_BUF_INVALID, mcapi_pktchan_release_test(of_one.packet, &st));
}

static void* other_node(void* unused)
{
    start_node(2);
    /* So that this node has heard of the other. */
    find(1, 22);
    others_handles();
    end_node();
    return unused;
}

/* Each attribute in which the two ends of a channel must agree. */
static void incompatible(void)
{
    const mcapi_uint_t differ[][2] = { { MCAPI_ENDP_ATTR_MAX_PAYLOAD_SIZE, 64 },
        { MCAPI_ENDP_ATTR_MEMORY_TYPE, MCAPI_ENDP_ATTR_BLOCK_ON_MEM_LIMIT },
        { MCAPI_ENDP_ATTR_MEMORY_TYPE, MCAPI_ENDP_ATTR_FAIL_ON_MEM_LIMIT | MCAPI_ENDP_ATTR_SHARED_MEMORY },
        { MCAPI_ENDP_ATTR_NUM_PRIORITIES, 3 }, { MCAPI_ENDP_ATTR_PRIORITY, 2 } };
    mcapi_request_t request;
    size_t n;
    for (n = 0; n < sizeof differ / sizeof *differ; n++) {
        mcapi_endpoint_t a = mcapi_endpoint_create(31, &st), b = mcapi_endpoint_create(32, &st);
        set(a, differ[n][0], differ[n][1]);
        mcapi_pktchan_connect_i(a, b, &request, &st);
        OK;
        CHECK(ends(&request) == MCAPI_ERR_ATTR_INCOMPATIBLE);
        mcapi_sclchan_connect_i(b, a, &request, &st);
        OK;
        CHECK(ends(&request) == MCAPI_ERR_ATTR_INCOMPATIBLE);
        /* Neither is an end of anything. */
        set(b, differ[n][0], differ[n][1]);
        mcapi_pktchan_connect_i(a, b, &request, &st);
        OK;
        finish(&request);
        mcapi_endpoint_delete(a, &st);
        IS(MCAPI_ERR_CHAN_CONNECTED);
        /* Opened and closed, in any order, they are free. */
        uint32_t tx, rx;
        mcapi_request_t other;
        mcapi_pktchan_recv_open_i(&rx, b, &request, &st);
        OK;
        mcapi_pktchan_send_open_i(&tx, a, &other, &st);
        OK;
        finish(&request);
        finish(&other);
        if (n % 2) {
            mcapi_pktchan_send_close_i(tx, &other, &st);
            mcapi_pktchan_recv_close_i(rx, &request, &st);
        } else {
            mcapi_pktchan_recv_close_i(rx, &request, &st);
            mcapi_pktchan_send_close_i(tx, &other, &st);
        }
        OK;
        finish(&request);
        finish(&other);
        mcapi_endpoint_delete(a, &st);
        OK;
        mcapi_endpoint_delete(b, &st);
        OK;
    }
}

static void requests(void)
{
    mcapi_request_t request, more, *both[] = { &more, &request };
    size_t size;
    char byte;
    mcapi_endpoint_t here = mcapi_endpoint_create(41, &st);
    OK;
    mcapi_msg_recv_i(here, &byte, 1, &request, &st);
    OK;
    mcapi_msg_recv_i(here, &byte, 1, &more, &st);
    OK;
    CHECK(mcapi_test(&request, &size, &st) == MCAPI_FALSE);
    IS(MCAPI_PENDING);
    /* Whoever asks for a cancelled one is told; others are not disturbed. */
    mcapi_cancel(&request, &st);
    OK;
    CHECK(mcapi_test(&request, &size, &st) == MCAPI_FALSE);
    IS(MCAPI_ERR_REQUEST_CANCELLED);
    CHECK(mcapi_wait(&request, &size, LONG, &st) == MCAPI_FALSE);
    IS(MCAPI_ERR_REQUEST_CANCELLED);
    CHECK(mcapi_wait_any(2, both, &size, LONG, &st) == 1);
    IS(MCAPI_ERR_REQUEST_CANCELLED);
    NO_REQUEST(mcapi_cancel(&request, &st));
    /* One variable for two requests: the first goes on without a name, and is served first. */
    mcapi_msg_recv_i(here, &byte, 1, &request, &st);
    OK;
    mcapi_msg_send(here, here, "a", 1, 0, &st);
    OK;
    mcapi_msg_send(here, here, "b", 1, 0, &st);
    OK;
    CHECK(finish(&request) == 1 && byte == 'b');
    CHECK(finish(&more) == 1 && byte == 'a');
    mcapi_endpoint_delete(here, &st);
    OK;
}

static pthread_barrier_t together;
static int succeeded;

/* The name is given to one of them; all others are told so. */
static void* races(void* unused)
{
    mcapi_info_t info;
    int round;
    for (round = 0; round < 20; round++) {
        pthread_barrier_wait(&together);
        mcapi_initialize(DOMAIN, 7, NULL, NULL, &info, &st);
        int mine = st == MCAPI_SUCCESS;
        CHECK(mine || st == MCAPI_ERR_NODE_INITIALIZED);
        __atomic_fetch_add(&succeeded, mine, __ATOMIC_SEQ_CST);
        pthread_barrier_wait(&together);
        CHECK(succeeded == 1);
        pthread_barrier_wait(&together);
        if (mine)
            succeeded = 0;
        /* The others never were a node, and call for the only one. */
        mcapi_endpoint_t made = mcapi_endpoint_create(MCAPI_PORT_ANY, &st);
        int made_one = st == MCAPI_SUCCESS;
        if (made_one) {
            mcapi_msg_send(made, made, "x", 1, 0, &st);
            mcapi_endpoint_delete(made, &st);
        }
        pthread_barrier_wait(&together);
        mcapi_finalize(&st);
        int last = st == MCAPI_SUCCESS;
        CHECK(last || st == MCAPI_ERR_NODE_NOTINIT);
        __atomic_fetch_add(&succeeded, last, __ATOMIC_SEQ_CST);
        pthread_barrier_wait(&together);
        CHECK(succeeded == 1);
        pthread_barrier_wait(&together);
        if (last)
            succeeded = 0;
    }
    return unused;
}

static void from_many_threads(void)
{
    pthread_t threads[6];
    int n;
    CHECK(pthread_barrier_init(&together, NULL, 6) == 0);
    for (n = 0; n < 6; n++)
        CHECK(pthread_create(&threads[n], NULL, races, NULL) == 0);
    for (n = 0; n < 6; n++)
        CHECK(pthread_join(threads[n], NULL) == 0);
}

int main(int argc, char** argv)
{
    mcapi_endpoint_t here;
    int processes = argc > 1 && strcmp(argv[1], "processes") == 0;
    from_many_threads();
    start_node(1);
    here = mcapi_endpoint_create(20, &st);
    OK;
    no_pointers(here);
    nobodys_handles(here);
    incompatible();
    requests();
    make_what_is_anothers(here);
    if (processes) {
        int end;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            other_node(NULL);
            exit(0);
        }
        CHECK(waitpid(child, &end, 0) == child && WIFEXITED(end) && WEXITSTATUS(end) == 0);
    } else {
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, other_node, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    /* What is its own it can still use. */
    mcapi_pktchan_release(of_one.packet, &st);
    OK;
    mcapi_cancel(&of_one.request, &st);
    OK;
    end_node();
    return 0;
}
