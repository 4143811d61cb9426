/*
 * Ask the kernel for every TCP socket and receive the answer, no more: the least
 * that any program which reads sock_diag must pay.
 *
 *     cc -O2 -pthread -o drain drain.c && ./drain [THREADS]
 *
 * IPv4 and IPv6 come in one walk (TCPDIAG_GETSOCK), in all states, without
 * attributes. With two threads the kernel splits the sockets by local port.
 */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MIDDLE_PORT = 46884, THREADS_AT_MOST = 2 };

struct filter {
	struct nlattr attribute;
	struct inet_diag_bc_op condition, port;
};

struct question {
	struct nlmsghdr header;
	struct inet_diag_req request;
	struct filter filter;
};

/* Accept local ports from MIDDLE_PORT on (S_GE), or those below it (S_LE). */
static struct filter half(int upper)
{
	struct filter filter = {
		.attribute = { sizeof filter, INET_DIAG_REQ_BYTECODE },
		.condition = {
			upper ? INET_DIAG_BC_S_GE : INET_DIAG_BC_S_LE,
			2 * sizeof(struct inet_diag_bc_op),
			2 * sizeof(struct inet_diag_bc_op) + 4,
		},
		.port = { .no = upper ? MIDDLE_PORT : MIDDLE_PORT - 1 },
	};
	return filter;
}

static struct question all_sockets(void)
{
	struct question question = {
		.header = {
			.nlmsg_len = sizeof question - sizeof(struct filter),
			.nlmsg_type = TCPDIAG_GETSOCK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = 1,
		},
		.request = { .idiag_family = AF_INET, .idiag_states = UINT32_MAX },
	};
	return question;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Return whether a datagram is, or ends with, the closing message. */
static int closes(const char *buffer, ssize_t length)
{
	const struct nlmsghdr *first = (const void *)buffer;
	const struct nlmsghdr *last = (const void *)(buffer + length - NLMSG_LENGTH(4));

	if (first->nlmsg_type == NLMSG_ERROR) {
		fputs("the kernel refused the dump\n", stderr);
		exit(1);
	}
	return first->nlmsg_type == NLMSG_DONE ||
	       (last->nlmsg_type == NLMSG_DONE && last->nlmsg_len == NLMSG_LENGTH(4));
}

/* Ask one question and receive all of its answer; return NULL. */
static void *drain(void *argument)
{
	static __thread char buffer[65536] __attribute__((aligned(4)));
	struct question *question = argument;
	int kernel = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t length;

	if (kernel < 0)
		fail("socket");
	if (send(kernel, question, question->header.nlmsg_len, 0) < 0)
		fail("send");
	do {
		length = recv(kernel, buffer, sizeof buffer, 0);
		if (length < (ssize_t)sizeof(struct nlmsghdr))
			fail("recv");
	} while (!closes(buffer, length));
	close(kernel);
	return NULL;
}

int main(int count, char **words)
{
	int threads = count > 1 ? atoi(words[1]) : 1;
	struct question questions[THREADS_AT_MOST];
	pthread_t other;

	for (int number = 0; number < THREADS_AT_MOST; number++) {
		questions[number] = all_sockets();
		if (threads == THREADS_AT_MOST) {
			questions[number].filter = half(number);
			questions[number].header.nlmsg_len = sizeof questions[number];
		}
	}
	if (threads == THREADS_AT_MOST && pthread_create(&other, NULL, drain, &questions[1]))
		fail("pthread_create");
	drain(&questions[0]);
	if (threads == THREADS_AT_MOST)
		pthread_join(other, NULL);
	return 0;
}
