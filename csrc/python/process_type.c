/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include "binding.h"

/*
 * The core's state is touched with the GIL held, so it needs no lock; only
 * sleeping is done without. close() while another thread sleeps on a
 * descriptor kills the container, which wakes that thread, and the last user
 * out frees it: a number is never closed under a sleeper.
 */
struct process_object {
	PyObject_HEAD
	PyObject *plan;		      /* whose bytes the launch reads */
	struct crab_process *process; /* NULL once closed */
	unsigned int sleepers;
	bool closing;
};

static struct process_object *of(PyObject *self)
{
	return (struct process_object *)self;
}

PyObject *process_new(PyTypeObject *type, PyObject *plan,
		      struct crab_process *process)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct process_object *self = of(alloc(type, 0));

	if (!self) {
		crab_process_destroy(process);
		return NULL;
	}
	self->plan = Py_NewRef(plan);
	self->process = process;
	return (PyObject *)self;
}

static void destroy(struct process_object *self)
{
	struct crab_process *process = self->process;

	self->process = NULL;
	if (!process)
		return;
	Py_BEGIN_ALLOW_THREADS
	crab_process_destroy(process);
	Py_END_ALLOW_THREADS
}

static PyObject *process_close(PyObject *object, PyObject *unused)
{
	struct process_object *self = of(object);

	(void)unused;
	self->closing = true;
	if (self->process && self->sleepers)
		crab_process_signal(self->process, 9);
	else
		destroy(self);
	Py_RETURN_NONE;
}

static void process_dealloc(PyObject *object)
{
	PyTypeObject *type = Py_TYPE(object);
	freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);

	destroy(of(object));
	Py_CLEAR(of(object)->plan);
	free_object(object);
	Py_DECREF(type);
}

static struct crab_process *open_process(struct process_object *self)
{
	if (!self->process || self->closing) {
		PyErr_SetString(PyExc_ValueError, "the process is closed");
		return NULL;
	}
	return self->process;
}

/* block() as one of the object's sleepers. */
static int sleep_on(struct process_object *self, int fd, int64_t deadline)
{
	self->sleepers++;
	int result = block(fd, deadline);

	self->sleepers--;
	if (self->closing && !self->sleepers)
		destroy(self);
	return result;
}

static PyObject *process_report(PyObject *object, PyObject *timeout)
{
	struct process_object *self = of(object);
	int64_t deadline = deadline_of(timeout);

	if (deadline < -1)
		return NULL;
	for (;;) {
		struct crab_process *process = open_process(self);
		struct crab_report r;

		if (!process)
			return NULL;
		enum crab_poll poll = crab_process_report(process, &r);

		if (poll == CRAB_POLL_REPORT)
			return Py_BuildValue("IIIiiiKII", r.type, r.step,
					     r.index, r.error, r.code, r.status,
					     (unsigned long long)r.time, r.id,
					     r.pid);
		if (poll == CRAB_POLL_ENDED)
			return PyTuple_New(0);
		int fd = crab_process_wait_fd(process, CRAB_WAIT_REPORT);
		int woken = sleep_on(self, fd, deadline);

		if (woken < 0)
			return NULL;
		if (woken == 0)
			Py_RETURN_NONE;
	}
}

typedef enum crab_poll (*poll_function)(struct crab_process *,
					struct crab_status *);

static PyObject *await_end(PyObject *object, PyObject *timeout,
			   poll_function ask, bool early)
{
	struct process_object *self = of(object);
	int64_t deadline = deadline_of(timeout);

	if (deadline < -1)
		return NULL;
	for (;;) {
		struct crab_process *process = open_process(self);
		struct crab_status status;

		if (!process)
			return NULL;
		if (ask(process, &status) == CRAB_POLL_ENDED)
			return Py_BuildValue(
				"OiiLLLiL",
				status.reported ? Py_True : Py_False,
				status.code, status.status,
				(long long)status.user_time,
				(long long)status.system_time,
				(long long)status.peak_memory,
				(int)status.limit, (long long)status.ended);
		int fd = early ? crab_process_wait_fd(process, CRAB_WAIT_REPORT)
			       : -1;

		if (fd < 0)
			fd = crab_process_wait_fd(process, CRAB_WAIT_END);
		int woken = sleep_on(self, fd, deadline);

		if (woken < 0)
			return NULL;
		if (woken == 0)
			Py_RETURN_NONE;
	}
}

static PyObject *process_wait(PyObject *object, PyObject *timeout)
{
	return await_end(object, timeout, crab_process_poll, false);
}

static PyObject *process_end(PyObject *object, PyObject *timeout)
{
	return await_end(object, timeout, crab_process_end, true);
}

static PyObject *process_go_on(PyObject *object, PyObject *unused)
{
	struct crab_process *process = open_process(of(object));
	struct crab_error error;

	(void)unused;
	if (!process)
		return NULL;
	if (crab_process_go_on(process, &error) < 0)
		return raise_step_error(state_of_type(Py_TYPE(object)), &error);
	Py_RETURN_NONE;
}

static PyObject *process_terminal(PyObject *object, PyObject *unused)
{
	struct crab_process *process = open_process(of(object));
	struct crab_error error;

	(void)unused;
	if (!process)
		return NULL;
	int fd = crab_process_terminal(process, &error);

	if (fd < 0)
		return raise_step_error(state_of_type(Py_TYPE(object)), &error);
	return PyLong_FromLong(fd);
}

static PyObject *process_signal(PyObject *object, PyObject *number)
{
	long signum = PyLong_AsLong(number); /* its __index__ may close us */

	if (signum == -1 && PyErr_Occurred())
		return NULL;
	struct crab_process *process = open_process(of(object));

	if (!process)
		return NULL;
	if (crab_process_signal(process, (int)signum) < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

static PyObject *process_pid(PyObject *object, void *closure)
{
	struct crab_process *process = open_process(of(object));

	(void)closure;
	return process ? PyLong_FromLong(crab_process_pid(process)) : NULL;
}

static PyObject *process_pidfd(PyObject *object, void *closure)
{
	struct crab_process *process = open_process(of(object));

	(void)closure;
	return process ? PyLong_FromLong(crab_process_pidfd(process)) : NULL;
}

static PyObject *process_sockets(PyObject *object, void *closure)
{
	struct crab_process *process = open_process(of(object));
	int sockets[2];

	(void)closure;
	if (!process)
		return NULL;
	crab_process_sockets(process, sockets);
	return Py_BuildValue("ii", sockets[0], sockets[1]);
}

static PyObject *process_report_fd(PyObject *object, void *closure)
{
	struct crab_process *process = open_process(of(object));

	(void)closure;
	return process ? PyLong_FromLong(crab_process_wait_fd(process,
							      CRAB_WAIT_REPORT))
		       : NULL;
}

static PyObject *process_timeline(PyObject *object, PyObject *unused)
{
	struct crab_process *process = open_process(of(object));
	size_t caller_count;
	size_t child_count;

	(void)unused;
	if (!process)
		return NULL;
	const struct crab_moment *caller =
		crab_process_timeline(process, CRAB_SIDE_CALLER, &caller_count);
	const struct crab_moment *child =
		crab_process_timeline(process, CRAB_SIDE_CHILD, &child_count);

	return Py_BuildValue("y#y#", (const char *)caller,
			     (Py_ssize_t)(caller_count * sizeof(*caller)),
			     child ? (const char *)child : "",
			     (Py_ssize_t)(child_count * sizeof(*child)));
}

static PyObject *process_exec(PyObject *object, PyObject *args)
{
	struct module_state *state = state_of_type(Py_TYPE(object));
	struct crab_error error;
	PyObject *plan;
	int stdio[3];
	unsigned int id;

	if (!PyArg_ParseTuple(args, "O!(iii)I:exec", state->plan_type, &plan,
			      &stdio[0], &stdio[1], &stdio[2], &id))
		return NULL;
	struct crab_process *process = open_process(of(object));

	if (!process)
		return NULL;
	if (crab_process_exec(process, plan_of(plan), stdio, id, &error) < 0)
		return raise_step_error(state, &error);
	Py_RETURN_NONE;
}

static PyObject *process_tell(PyObject *object, PyObject *args)
{
	unsigned int type;
	unsigned int id;
	int signum;

	if (!PyArg_ParseTuple(args, "IIi:tell", &type, &id, &signum))
		return NULL;
	struct crab_process *process = open_process(of(object));

	if (!process)
		return NULL;
	if (crab_process_tell(process, (enum crab_request_type)type, id,
			      signum) < 0)
		return PyErr_SetFromErrno(PyExc_OSError);
	Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
	{ "report", process_report, METH_O,
	  "The next report of init: (type, step, index, errno, code, status, "
	  "ns, id, pid); None at the timeout, () when there will be none any "
	  "more." },
	{ "wait", process_wait, METH_O,
	  "(reported, code, status) of waitid(2) and (user ns, system ns, peak "
	  "bytes) of getrusage(2), which limit of time ended it, and when; "
	  "None at "
	  "the timeout." },
	{ "end", process_end, METH_O,
	  "The same, as soon as all is dead but init." },
	{ "timeline", process_timeline, METH_NOARGS,
	  "The steps of the caller, and of the child: arrays of struct "
	  "crab_moment." },
	{ "go_on", process_go_on, METH_NOARGS,
	  "Let the child go on, which launch() has left waiting." },
	{ "terminal", process_terminal, METH_NOARGS,
	  "The master of its terminal, once it has started; to be closed." },
	{ "exec", process_exec, METH_VARARGS,
	  "Ask init for another process: its plan, (stdin, stdout, stderr), "
	  "and its id." },
	{ "tell", process_tell, METH_VARARGS,
	  "Ask init for something else: the request, an id, a signal." },
	{ "signal", process_signal, METH_O, "Send a signal to init." },
	{ "close", process_close, METH_NOARGS,
	  "Kill and reap what still lives; close the descriptors." },
	{ 0 },
};

static PyGetSetDef getset[] = {
	{ "sockets", process_sockets, NULL,
	  "The numbers that the handshake's socket pair had.", NULL },
	{ "report_fd", process_report_fd, NULL,
	  "Readable when report() has something to say; -1: never again.",
	  NULL },
	{ "pid", process_pid, NULL, "init's process id, as the caller sees it.",
	  NULL },
	{ "pidfd", process_pidfd, NULL, "The pidfd; it stays this object's.",
	  NULL },
	{ 0 },
};

static PyType_Slot slots[] = {
	{ Py_tp_doc, "A launched container." },
	{ Py_tp_dealloc, process_dealloc },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, getset },
	{ 0, NULL },
};

PyType_Spec process_type_spec = {
	.name = "crabcan._core.Process",
	.basicsize = sizeof(struct process_object),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE |
		 Py_TPFLAGS_DISALLOW_INSTANTIATION,
	.slots = slots,
};
