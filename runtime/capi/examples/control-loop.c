/* A control loop over scalar channels: the controller (node 1) reads the temperature of the plant (node 2) and sets its
 * heater, until the temperature stays where it should. */
#include "nodes.h"

#define STEPS 200
#define TARGET 50000u /* Thousandths of a degree. */

static mcapi_sclchan_send_hndl_t sender(mcapi_node_t to)
{
    mcapi_sclchan_send_hndl_t handle;
    mcapi_request_t request;
    mcapi_endpoint_t here = mcapi_endpoint_create(2, &status);
    ok("create");
    mcapi_endpoint_t there = mcapi_endpoint_get(1, to, 1, MCAPI_TIMEOUT_INFINITE, &status);
    ok("get");
    mcapi_sclchan_connect_i(here, there, &request, &status);
    ok("connect");
    complete(&request, "connected");
    mcapi_sclchan_send_open_i(&handle, here, &request, &status);
    ok("open");
    complete(&request, "open to send");
    return handle;
}

static void program(mcapi_node_t node)
{
    mcapi_sclchan_recv_hndl_t in;
    mcapi_request_t request;
    uint32_t temperature = 20000, heater = 0, step;
    mcapi_endpoint_t here = mcapi_endpoint_create(1, &status);
    ok("create");
    mcapi_sclchan_recv_open_i(&in, here, &request, &status);
    ok("open");
    mcapi_sclchan_send_hndl_t out = sender(3 - node);
    complete(&request, "open to receive");
    for (step = 0; step < STEPS; step++) {
        if (node == 1) {
            temperature = mcapi_sclchan_recv_uint32(in, &status);
            ok("temperature");
            heater = temperature < TARGET ? (TARGET - temperature) / 4 + TARGET / 10 - 2000 : 0;
            mcapi_sclchan_send_uint32(out, heater, &status);
            ok("heater");
        } else {
            mcapi_sclchan_send_uint32(out, temperature, &status);
            ok("temperature");
            heater = mcapi_sclchan_recv_uint32(in, &status);
            ok("heater");
            temperature = temperature + heater - (temperature - 20000) / 10;
        }
    }
    if (node == 1) {
        printf("%u.%03u degrees after %d steps\n", temperature / 1000, temperature % 1000, STEPS);
        if (temperature < TARGET - 500 || temperature > TARGET + 500)
            exit(1);
    }
}

int main(int argc, char** argv)
{
    return run_nodes(argc, argv, 2, program);
}
