/** Mount tables as the kernel wrote them for containers of this kind, shortened to what differs. */

export const containerId = '4f2dbab60945827a264e4d2ab04b38486431e9134ff40bfc74c1751f7a8d433f';
const files = `/var/lib/docker/containers/${containerId}`;

/** Docker 20.10, control groups version 1, one bind at /workspace, init. */
export const cgroupV1 = `74 49 0:39 / / rw,relatime master:2 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
75 74 0:42 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
76 74 0:43 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
77 76 0:44 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
78 74 0:45 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
79 78 0:46 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=755
80 79 0:29 /docker/${containerId} /sys/fs/cgroup/cpu ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,cpu
83 79 0:32 /docker/${containerId} /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime - cgroup cgroup rw,memory
84 79 0:33 /docker/${containerId} /sys/fs/cgroup/net_cls,net_prio ro,nosuid - cgroup cgroup rw,net_cls,net_prio
88 79 0:37 /docker/${containerId} /sys/fs/cgroup/systemd ro,nosuid,nodev,noexec - cgroup systemd rw,name=systemd
89 76 0:41 / /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue rw
90 76 0:47 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k
91 74 254:0 /usr/bin/tini-static /sbin/docker-init ro,relatime - ext4 /dev/vda rw,discard
92 74 254:0 /home/u/gpuaas/workloads/i/ws /workspace rw,relatime - ext4 /dev/vda rw,discard
93 74 254:0 ${files}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw,discard
94 74 254:0 ${files}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw,discard
95 74 254:0 ${files}/hosts /etc/hosts rw,relatime - ext4 /dev/vda rw,discard
50 75 0:42 /bus /proc/bus ro,nosuid,nodev,noexec,relatime - proc proc rw
53 75 0:42 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw
49 75 0:42 /sysrq-trigger /proc/sysrq-trigger ro,nosuid,nodev,noexec,relatime - proc proc rw
54 75 0:48 / /proc/acpi ro,relatime - tmpfs tmpfs ro
55 75 0:43 /null /proc/keys rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
57 78 0:49 / /sys/firmware ro,relatime - tmpfs tmpfs ro
`;

/** A newer engine on control groups version 2, with an anonymous volume of the image. */
export const cgroupV2 = `1186 1067 0:153 / / rw,relatime master:447 - overlay overlay rw,lowerdir=/l/A,upperdir=/u,workdir=/w
1187 1186 0:156 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1188 1186 0:157 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755,inode64
1189 1188 0:158 / /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666
1190 1186 0:159 / /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs ro
1191 1190 0:29 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate
1192 1188 0:154 / /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue rw
1193 1188 0:160 / /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k,inode64
1194 1186 8:1 /usr/bin/docker-init /sbin/docker-init ro,relatime - ext4 /dev/sda1 rw
1195 1186 8:1 /home/u/gpuaas/workloads/i/ws /workspace rw,relatime - ext4 /dev/sda1 rw
1196 1186 8:1 /var/lib/docker/volumes/${'5'.repeat(64)}/_data /data rw,relatime - ext4 /dev/sda1 rw
1197 1186 8:1 ${files}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/sda1 rw
1198 1186 8:1 ${files}/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw
1199 1186 8:1 ${files}/hosts /etc/hosts rw,relatime - ext4 /dev/sda1 rw
1068 1187 0:156 /bus /proc/bus ro,nosuid,nodev,noexec,relatime - proc proc rw
1073 1187 0:161 / /proc/asound ro,relatime - tmpfs tmpfs ro,inode64
1074 1187 0:157 /null /proc/interrupts rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755,inode64
1075 1187 0:157 /null /proc/kcore rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755,inode64
1080 1190 0:164 / /sys/firmware ro,relatime - tmpfs tmpfs ro,inode64
1081 1190 0:165 / /sys/devices/virtual/powercap ro,relatime - tmpfs tmpfs ro,inode64
`;

/** The file server of a gVisor sandbox (runsc 2024-07). */
export const gofer = `436 433 0:127 / / ro,nosuid,nodev,relatime master:12 - overlay overlay rw,lowerdir=/l/A,upperdir=/u
437 436 254:0 /usr/bin/tini-static /sbin/docker-init rw,relatime - ext4 /dev/vda rw,discard
438 436 254:0 /home/u/gpuaas/workloads/i/ws /workspace rw,relatime - ext4 /dev/vda rw,discard
439 436 254:0 /var/lib/docker/volumes/${'0'.repeat(64)}/_data /data rw,relatime master:11 - ext4 /dev/vda rw
440 436 254:0 ${files}/resolv.conf /etc/resolv.conf rw,relatime - ext4 /dev/vda rw,discard
441 436 254:0 ${files}/hostname /etc/hostname rw,relatime - ext4 /dev/vda rw,discard
442 436 254:0 ${files}/hosts /etc/hosts rw,relatime - ext4 /dev/vda rw,discard
`;

/**
 * What NVIDIA's toolkit adds for one card, by the mounts that libnvidia-container's log names: the driver's files, its
 * firmware, the socket of its daemon, device files, a tmpfs over its folder in /proc and the card's own folder in it.
 */
export const nvidiaCard = `301 75 0:61 / /proc/driver/nvidia rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw,mode=555
302 74 254:0 /usr/bin/nvidia-smi /usr/bin/nvidia-smi ro,nosuid,nodev,relatime - ext4 /dev/vda rw
303 74 254:0 /usr/bin/nvidia-cuda-mps-control /bin/nvidia-cuda-mps-control ro,nosuid,nodev,relatime - ext4 /dev/vda rw
304 74 254:0 /usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15 /usr/lib/x86_64-linux-gnu/libcuda.so.570.86.15 ro,nosuid,nodev - ext4 /dev/vda rw
305 74 254:0 /usr/lib/x86_64-linux-gnu/libnvidia-ml.so.570.86.15 /usr/lib64/libnvidia-ml.so.570.86.15 ro,nosuid,nodev - ext4 /dev/vda rw
306 74 254:0 /usr/lib/x86_64-linux-gnu/libcudadebugger.so.570.86.15 /lib/x86_64-linux-gnu/libcudadebugger.so.570.86.15 ro,nosuid - ext4 /dev/vda rw
307 74 0:39 /usr/local/cuda-12.8/compat/libcuda.so.570.86.10 /usr/lib/x86_64-linux-gnu/libcuda.so.570.86.10 ro,nosuid,nodev - overlay overlay rw
308 74 254:0 /usr/lib/firmware/nvidia/570.86.15/gsp_ga10x.bin /usr/lib/firmware/nvidia/570.86.15/gsp_ga10x.bin ro,nosuid,nodev - ext4 /dev/vda rw
309 74 0:25 /nvidia-persistenced/socket /run/nvidia-persistenced/socket rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw
310 76 0:5 /nvidiactl /dev/nvidiactl ro,nosuid,noexec,relatime - devtmpfs udev rw
311 76 0:5 /nvidia-uvm /dev/nvidia-uvm ro,nosuid,noexec,relatime - devtmpfs udev rw
312 76 0:5 /nvidia3 /dev/nvidia3 ro,nosuid,noexec,relatime - devtmpfs udev rw
313 76 0:5 /nvidia-caps/nvidia-cap21 /dev/nvidia-caps/nvidia-cap21 ro,nosuid,noexec - devtmpfs udev rw
314 301 0:22 /driver/nvidia/gpus/0000:3b:00.0 /proc/driver/nvidia/gpus/0000:3b:00.0 ro,nosuid,nodev,noexec - proc proc rw
315 301 0:62 /nvct-params /proc/driver/nvidia/params ro,relatime - tmpfs tmpfs rw
316 74 0:62 / /run/nvidia-ctk-hook/0b8e3a52-31c0-4d7c-9d0e-2f9c1b7a6e54 rw,relatime - tmpfs tmpfs rw,size=1k
`;
