/* A node that cannot be where it is placed: the status is the first argument. */
#include "check.h"

int main(int argc, char** argv)
{
    mcapi_info_t info;
    char got[MCAPI_MAX_STATUS_SIZE];
    CHECK(argc == 2);
    mcapi_initialize(DOMAIN, 1, NULL, NULL, &info, &st);
    mcapi_display_status(st, got, sizeof got);
    if (strcmp(got, argv[1]) != 0) {
        fprintf(stderr, "%s instead of %s\n", got, argv[1]);
        return 1;
    }
    return 0;
}
