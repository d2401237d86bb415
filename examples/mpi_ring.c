/* Passes a token around all ranks, a hundred times; each rank adds its number to it. Rank 0 checks the sum and says
 * how many hosts took part.
 * Build: mpicc -O1 -o mpi_ring mpi_ring.c      Run: srun --mpi=pmix ./mpi_ring */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { rounds = 100 };

static int compare(const void* a, const void* b) { return strcmp(a, b); }

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0;
  int size = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const int next = (rank + 1) % size;
  const int previous = (rank + size - 1) % size;

  const double begin = MPI_Wtime();
  long token = 0;
  for (int round = 0; round < rounds && size > 1; ++round) {
    if (rank == 0) {
      MPI_Send(&token, 1, MPI_LONG, next, round, MPI_COMM_WORLD);
      MPI_Recv(&token, 1, MPI_LONG, previous, round, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
      MPI_Recv(&token, 1, MPI_LONG, previous, round, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
      token += rank;
      MPI_Send(&token, 1, MPI_LONG, next, round, MPI_COMM_WORLD);
    }
  }
  const double seconds = MPI_Wtime() - begin;

  char name[MPI_MAX_PROCESSOR_NAME] = "";
  int length = 0;
  MPI_Get_processor_name(name, &length);
  char* names = rank == 0 ? calloc((size_t)size, sizeof name) : NULL;
  MPI_Gather(name, sizeof name, MPI_CHAR, names, sizeof name, MPI_CHAR, 0, MPI_COMM_WORLD);

  int wrong = 0;
  if (rank == 0) {
    qsort(names, (size_t)size, sizeof name, compare);
    int hosts = 0;
    for (int i = 0; i < size; ++i) {
      if (i == 0 || strcmp(names + i * sizeof name, names + (i - 1) * sizeof name) != 0) ++hosts;
    }
    const long expected = (long)rounds * size * (size - 1) / 2;
    wrong = size < 2 || token != expected;
    printf("token passed through %d ranks on %d hosts, %d rounds in %.1f ms: sum %ld, expected %ld\n", size, hosts,
           rounds, seconds * 1000, token, expected);
    free(names);
  }
  MPI_Bcast(&wrong, 1, MPI_INT, 0, MPI_COMM_WORLD);
  MPI_Finalize();
  return wrong;
}
