/* What this implementation was built for. */
#ifndef MCA_CONFIG_H
#define MCA_CONFIG_H

/* Requests that one node may have open at a time. */
#define MCA_MAX_REQUESTS 1024
/* Nodes that one node can hear of. */
#define MCA_MAX_NODES 1024

#endif
