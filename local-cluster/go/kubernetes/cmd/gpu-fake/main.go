// Command gpu-fake is a device plugin that pretends the node has GPUs: pods that ask for them are scheduled,
// counted and refused as on real ones, and get their numbers in FAKE_VISIBLE_DEVICES. It gives no device.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const socketName = "gpu-fake.sock"

type plugin struct {
	api.UnimplementedDevicePluginServer
	devices []*api.Device
}

func (p *plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

// ListAndWatch names the devices once: pretended ones never fail.
func (p *plugin) ListAndWatch(_ *api.Empty, stream api.DevicePlugin_ListAndWatchServer) error {
	if err := stream.Send(&api.ListAndWatchResponse{Devices: p.devices}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

func (p *plugin) Allocate(_ context.Context, request *api.AllocateRequest) (*api.AllocateResponse, error) {
	response := &api.AllocateResponse{}
	for _, container := range request.ContainerRequests {
		response.ContainerResponses = append(response.ContainerResponses, &api.ContainerAllocateResponse{
			Envs: map[string]string{"FAKE_VISIBLE_DEVICES": strings.Join(container.DevicesIds, ",")},
		})
	}
	return response, nil
}

// serve registers with the kubelet and returns when the kubelet has been replaced: it forgets its plugins and
// empties the folder when it starts, so a missing socket of ours is the sign to register again.
func (p *plugin) serve(folder, resource string) error {
	socket := filepath.Join(folder, socketName)
	if err := os.RemoveAll(socket); err != nil {
		return err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, p)
	defer server.Stop()
	go func() { _ = server.Serve(listener) }()

	if err := register(filepath.Join(folder, "kubelet.sock"), resource); err != nil {
		return err
	}
	log.Printf("registered %d of %s", len(p.devices), resource)
	for {
		time.Sleep(time.Second)
		if _, err := os.Stat(socket); err != nil {
			return err
		}
	}
}

func register(kubelet, resource string) error {
	connection, err := grpc.NewClient("unix://"+kubelet, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err = api.NewRegistrationClient(connection).Register(ctx, &api.RegisterRequest{
		Version: api.Version, Endpoint: socketName, ResourceName: resource,
	})
	return err
}

func main() {
	count := flag.Int("count", 8, "how many devices to pretend")
	resource := flag.String("resource", "nvidia.com/gpu", "the resource they are")
	folder := flag.String("folder", "/var/lib/kubelet/device-plugins", "where the kubelet listens for plugins")
	flag.Parse()

	p := &plugin{}
	for i := range *count {
		p.devices = append(p.devices, &api.Device{ID: strconv.Itoa(i), Health: api.Healthy})
	}
	for {
		log.Printf("serving again: %v", p.serve(*folder, *resource))
		time.Sleep(time.Second)
	}
}
