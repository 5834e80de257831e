/* The least that a gate can be: connects to each ADDRESS:PORT in turn, every 10 ms until it is taken, and
 * becomes COMMAND. No names, no deadline, no signals, no words. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int is_taken(const struct sockaddr_in *place)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (const struct sockaddr *)place, sizeof *place);
    close(fd);
    return result == 0;
}

int main(int argc, char **argv)
{
    int word = 1;
    for (; word < argc && strcmp(argv[word], "--") != 0; word++) {
        struct sockaddr_in place = {.sin_family = AF_INET};
        char *port = strrchr(argv[word], ':');
        if (port == NULL)
            return 2;
        *port = '\0';
        place.sin_port = htons(atoi(port + 1));
        if (inet_pton(AF_INET, argv[word], &place.sin_addr) != 1)
            return 2;
        while (!is_taken(&place))
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (word + 1 >= argc)
        return 0;
    execv(argv[word + 1], argv + word + 1);
    return 127;
}
