/* Sends UDP packets of 64 bytes, IPv4 header included, from as many flows in turn as asked for: a source address and
 * port each. 0 flows: every packet is a new one.
 *
 *   sender DESTINATION SECONDS PACKETS_PER_SECOND FLOWS    (rate 0: as fast as it goes; IPv4; sources 10.10.16.0/22)
 *
 * Prints how many it sent. Needs CAP_NET_RAW. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef BATCH
#define BATCH 64
#endif
enum { SIZE = 64 };

struct packet {
    struct iphdr ip;
    struct udphdr udp;
    char payload[SIZE - sizeof(struct iphdr) - sizeof(struct udphdr)];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static struct packet packets[BATCH];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    struct sockaddr_in to = {.sin_family = AF_INET};
    if (argc != 5 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
        fprintf(stderr, "usage: sender DESTINATION SECONDS PACKETS_PER_SECOND FLOWS\n");
        return 2;
    }
    double seconds = atof(argv[2]), rate = atof(argv[3]);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
    if (fd < 0) {
        perror("sender: raw socket");
        return 1;
    }
    for (int i = 0; i < BATCH; i++) {
        packets[i].ip.version = 4;
        packets[i].ip.ihl = 5;
        packets[i].ip.ttl = 64;
        packets[i].ip.protocol = IPPROTO_UDP;
        packets[i].ip.tot_len = htons(SIZE);
        packets[i].ip.daddr = to.sin_addr.s_addr;
        packets[i].udp.dest = htons(40000);
        packets[i].udp.len = htons(SIZE - sizeof(struct iphdr)); /* no checksum: allowed over IPv4 (RFC 768) */
        memset(packets[i].payload, 'x', sizeof packets[i].payload);
        vectors[i] = (struct iovec){&packets[i], SIZE};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &vectors[i],
                                              .msg_iovlen = 1};
    }
    unsigned long sent = 0;
    unsigned int flow = 0, flows = strtoul(argv[4], NULL, 10);
    double start = now(), end = start + seconds;
    for (double t = start; t < end; t = now()) {
        if (rate > 0 && sent > (t - start) * rate) {
            struct timespec pause = {0, 20000};
            nanosleep(&pause, NULL);
            continue;
        }
        for (int i = 0; i < BATCH; i++, flow++) {
            if (flows && flow == flows)
                flow = 0;
            packets[i].ip.saddr = htonl(0x0a0a1000 + (flow & 0x3ff)); /* 10.10.16.0 and up */
            packets[i].udp.source = htons(1024 + (flow >> 10) % 64000);
        }
        int done = sendmmsg(fd, messages, BATCH, 0);
        if (done > 0)
            sent += done;
        else if (errno != ENOBUFS && errno != EAGAIN) {
            perror("sender: sendmmsg");
            return 1;
        }
    }
    printf("%lu\n", sent);
    return 0;
}
