/* The yardstick: a queue's loop in C that looks at nothing and accepts everything.
 *
 *   accept_all QUEUE LENGTH COPY_RANGE SOCKET_BYTES
 *
 * recvmmsg of up to 64 packets, one send of as many verdicts (NF_ACCEPT, mark 1), the same flags and sizes as
 * citygate's Worker. Prints "ready" when bound; on SIGTERM how many packets it saw. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 64 };

struct verdict {
    struct nlmsghdr header;
    struct nfgenmsg generic;
    struct nlattr verdict_attr;
    struct nfqnl_msg_verdict_hdr verdict;
    struct nlattr mark_attr;
    uint32_t mark;
};

static volatile sig_atomic_t stopping;

static void stop(int signal)
{
    (void)signal;
    stopping = 1;
}

static void configure(int fd, int queue, int type, const void *value, int size)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg generic;
        struct nlattr attr;
        char value[8];
    } message = {0};
    message.header.nlmsg_len = sizeof message.header + sizeof message.generic + NLA_HDRLEN + NLA_ALIGN(size);
    message.header.nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG;
    message.header.nlmsg_flags = NLM_F_REQUEST;
    message.generic.res_id = htons(queue);
    message.attr.nla_len = NLA_HDRLEN + size;
    message.attr.nla_type = type;
    memcpy(message.value, value, size);
    if (send(fd, &message, message.header.nlmsg_len, 0) < 0) {
        perror("accept_all: configure");
        exit(1);
    }
}

static void configure_flags(int fd, int queue, uint32_t flags)
{
    struct {
        struct nlmsghdr header;
        struct nfgenmsg generic;
        struct nlattr flags_attr;
        uint32_t flags;
        struct nlattr mask_attr;
        uint32_t mask;
    } message = {
        .header = {sizeof message, NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG, NLM_F_REQUEST, 0, 0},
        .generic = {.res_id = htons(queue)},
        .flags_attr = {8, NFQA_CFG_FLAGS},
        .flags = htonl(flags),
        .mask_attr = {8, NFQA_CFG_MASK},
        .mask = htonl(flags),
    };
    if (send(fd, &message, sizeof message, 0) < 0) {
        perror("accept_all: flags");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: accept_all QUEUE LENGTH COPY_RANGE SOCKET_BYTES\n");
        return 2;
    }
    int queue = atoi(argv[1]), slot = atoi(argv[3]) + 1024, socket_bytes = atoi(argv[4]);
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
    struct sockaddr_nl address = {.nl_family = AF_NETLINK};
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("accept_all: socket");
        return 1;
    }
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &socket_bytes, sizeof socket_bytes);
    struct nfqnl_msg_config_cmd bind_queue = {.command = NFQNL_CFG_CMD_BIND};
    struct nfqnl_msg_config_params params = {.copy_range = htonl(atoi(argv[3])), .copy_mode = NFQNL_COPY_PACKET};
    uint32_t length = htonl(atoi(argv[2]));
    configure(fd, queue, NFQA_CFG_CMD, &bind_queue, sizeof bind_queue);
    configure(fd, queue, NFQA_CFG_PARAMS, &params, sizeof params);
    configure(fd, queue, NFQA_CFG_QUEUE_MAXLEN, &length, sizeof length);
    configure_flags(fd, queue, NFQA_CFG_F_FAIL_OPEN | NFQA_CFG_F_GSO);

    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    static struct verdict verdicts[BATCH];
    char *slots = calloc(BATCH, slot);
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){slots + (size_t)i * slot, slot};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
        verdicts[i] = (struct verdict){
            .header = {sizeof(struct verdict), NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_VERDICT, NLM_F_REQUEST, 0, 0},
            .generic = {.res_id = htons(queue)},
            .verdict_attr = {NLA_HDRLEN + 8, NFQA_VERDICT_HDR},
            .verdict = {.verdict = htonl(NF_ACCEPT)},
            .mark_attr = {NLA_HDRLEN + 4, NFQA_MARK},
            .mark = htonl(1),
        };
    }
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGTERM, &action, NULL);
    puts("ready");
    fflush(stdout);
    unsigned long seen = 0;
    while (!stopping) {
        int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
        int written = 0;
        for (int i = 0; i < count; i++) {
            struct nlmsghdr *header = (struct nlmsghdr *)(slots + (size_t)i * slot);
            if (header->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
                continue;
            /* the packet header is the first attribute: net/netfilter/nfnetlink_queue.c */
            struct nfqnl_msg_packet_hdr *packet =
                (void *)((char *)header + NLMSG_HDRLEN + sizeof(struct nfgenmsg) + NLA_HDRLEN);
            verdicts[written++].verdict.id = packet->packet_id;
        }
        seen += written;
        if (written && send(fd, verdicts, written * sizeof(struct verdict), 0) < 0)
            perror("accept_all: send");
    }
    printf("%lu\n", seen);
    return 0;
}
