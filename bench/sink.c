/* Receives UDP datagrams on a port until SIGTERM, then prints how many came.
 *
 * It looks every half millisecond and never waits on the socket: waking a receiver costs the sender's core more than a
 * whole packet's way does, and the slower the packets, the more of them wake it.
 *
 *   sink ADDRESS PORT     (IPv4) */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef BATCH
#define BATCH 64
#endif
enum { SIZE = 2048, BUFFER = 32 << 20 };

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

int main(int argc, char **argv)
{
    static char buffers[BATCH][SIZE];
    static struct mmsghdr messages[BATCH];
    static struct iovec vectors[BATCH];
    struct sockaddr_in here = {.sin_family = AF_INET};
    struct timespec pause = {0, 500000};
    int size = BUFFER;
    if (argc != 3 || inet_pton(AF_INET, argv[1], &here.sin_addr) != 1) {
        fprintf(stderr, "usage: sink ADDRESS PORT\n");
        return 2;
    }
    here.sin_port = htons(atoi(argv[2]));
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof here) < 0) {
        perror("sink");
        return 1;
    }
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){buffers[i], SIZE};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    signal(SIGTERM, stop);
    printf("ready\n");
    fflush(stdout);
    unsigned long came = 0;
    while (!stopped) {
        int got = recvmmsg(fd, messages, BATCH, MSG_DONTWAIT, NULL);
        if (got > 0)
            came += got;
        else
            nanosleep(&pause, NULL);
    }
    printf("%lu\n", came);
    return 0;
}
